"""Writes image files of many formats and kinds into a folder, some with Pillow and some by hand, and prints for each the
size and SHA-256 of the RGB that Pillow reads back, or Pillow's error. For files whose name starts with `near-`, it also
writes the raw RGB (`.rgb`), because their pixels may differ a little."""

import hashlib
import json
import os
import random
import struct
import sys

from PIL import Image, ImageFilter

folder = sys.argv[1]
random.seed(0)


def picture(width, height):
    noise = Image.frombytes("RGB", (width, height), random.randbytes(width * height * 3))
    return Image.blend(noise, noise.filter(ImageFilter.GaussianBlur(3)), 0.8)


def write(name, content):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)


def save(name, image, **options):
    image.save(os.path.join(folder, name), **options)


def random_palette(colors, entry):
    return b"".join(random.randbytes(3) + bytes(entry - 3) for _ in range(colors))


def bmp(width, height, bits, data, header=40, compression=0, colors=0, palette=b"", fields=b"", top_down=False, offset=None):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression, 0, 0, 0, colors, 0
        )
        info += (fields if header > 40 else b"").ljust(header - 40, b"\0") + (fields if header == 40 else b"")
    start = 14 + len(info) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def stride(width, bits):
    return (width * bits + 31) // 32 * 4


def bitmaps():
    for width, height in [(1, 1), (7, 5), (8, 3), (33, 21), (64, 40)]:
        size = f"{width}x{height}"
        image = picture(width, height)
        for mode in ["1", "L", "P", "RGB", "RGBA"]:
            save(f"{mode}-{size}.bmp", image.convert(mode))
        for bits in [1, 4, 8, 16, 24, 32]:
            data = random.randbytes(stride(width, bits) * height)
            for header in [12, 40, 52, 56, 64, 108, 124]:
                palette = random_palette(1 << bits, 3 if header == 12 else 4) if bits <= 8 else b""
                for top_down in [False, True] if header > 12 else [False]:
                    name = f"{bits}-{header}-{'down' if top_down else 'up'}-{size}.bmp"
                    write(name, bmp(width, height, bits, data, header, palette=palette, top_down=top_down))
        # Gray palettes, and palettes with fewer colours than the bits allow and indices beyond them.
        for bits, colors in [(4, 5), (8, 17), (8, 200), (1, 1)]:
            data = random.randbytes(stride(width, bits) * height)
            write(f"{bits}-{colors}colors-{size}.bmp", bmp(width, height, bits, data, colors=colors, palette=random_palette(colors, 4)))
        data = random.randbytes(stride(width, 8) * height)
        ramp = b"".join(bytes([i, i, i, 0]) for i in range(256))
        write(f"ramp-{size}.bmp", bmp(width, height, 8, data, palette=ramp))
        write(f"short-ramp-{size}.bmp", bmp(width, height, 8, data, colors=100, palette=ramp[:400]))
        write(f"forgotten-palette-{size}.bmp", bmp(width, height, 8, data, palette=ramp[::-1], offset=54))
        data = random.randbytes(stride(width, 1) * height)
        for name, palette in [("white", bytes([255, 255, 255, 0, 0, 0, 0, 0])), ("black", bytes([0, 0, 0, 0, 255, 255, 255, 0]))]:
            write(f"{name}-first-{size}.bmp", bmp(width, height, 1, data, colors=2, palette=palette))
        write(f"one-black-{size}.bmp", bmp(width, height, 1, data, colors=1, palette=bytes(4)))
        fields = {
            "565": (16, 0xF800, 0x7E0, 0x1F, 0),
            "555": (16, 0x7C00, 0x3E0, 0x1F, 0),
            "444": (16, 0xF00, 0xF0, 0xF, 0),
            "888": (24, 0xFF0000, 0xFF00, 0xFF, 0),
            "bgrx": (32, 0xFF0000, 0xFF00, 0xFF, 0),
            "xbgr": (32, 0xFF000000, 0xFF0000, 0xFF00, 0),
            "bgxr": (32, 0xFF000000, 0xFF00, 0xFF, 0),
            "abgr": (32, 0xFF000000, 0xFF0000, 0xFF00, 0xFF),
            "rgba": (32, 0xFF, 0xFF00, 0xFF0000, 0xFF000000),
            "bgra": (32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000),
            "bgar": (32, 0xFF000000, 0xFF00, 0xFF, 0xFF0000),
            "none": (32, 0, 0, 0, 0),
            "odd": (32, 0xFF00, 0xFF0000, 0xFF, 0),
        }
        for name, (bits, *masks) in fields.items():
            data = random.randbytes(stride(width, bits) * height)
            for header in [40, 52, 56, 108, 124]:
                packed = struct.pack("<IIII", *masks)[: 12 if header < 56 else 16]
                write(f"{name}-{header}-{size}.bmp", bmp(width, height, bits, data, header, 3, fields=packed))
    write("embedded-png.bmp", bmp(8, 8, 24, bytes(300), compression=5))
    write("two-bits.bmp", bmp(8, 8, 2, bytes(300), palette=bytes(16)))
    write("unknown-header.bmp", bmp(8, 8, 24, bytes(300), header=99))
    write("no-padding-at-the-end.bmp", bmp(7, 5, 24, random.randbytes(stride(7, 24) * 5 - 3)))
    write("truncated.bmp", bmp(7, 5, 24, random.randbytes(stride(7, 24) * 5 - 4)))


def runs():
    """Run-length encoded bitmaps, both valid ones and random codes."""
    for bits, compression in [(8, 1), (4, 2)]:
        palette = random_palette(1 << bits, 4)
        for case in range(120):
            width, height = random.choice([(1, 1), (7, 5), (16, 9), (33, 4)])
            data = b""
            for _ in range(height):
                left = width
                while left > 0:
                    kind = random.random()
                    if kind < 0.6:
                        count = random.randint(1, left)
                        data += bytes([count, random.getrandbits(8)])
                    elif kind < 0.8 and left >= 3:
                        count = random.randint(3, left)
                        size = count if bits == 8 else (count + 1) // 2
                        data += bytes([0, count]) + random.randbytes(size) + bytes(size % 2)
                    elif kind < 0.9 and case % 3 == 0:
                        count = random.randint(1, left)
                        data += bytes([0, 2, count, 0])
                    else:
                        count = left if case % 4 == 0 else 0
                        if count == 0:
                            continue
                    left -= count
                data += b"\0\0"
            data += b"\0\1"
            if case >= 60:  # invalid codes
                mixed = bytearray(data)
                for _ in range(3):
                    mixed[random.randrange(len(mixed))] = random.choice([0, 1, 2, 3, 255])
                data = bytes(mixed)
            top_down = case % 5 == 0
            write(f"rle{bits}-{case}.bmp", bmp(width, height, bits, data, compression=compression, palette=palette, top_down=top_down))


def portable():
    for width, height in [(1, 1), (7, 5), (33, 21)]:
        size = f"{width}x{height}"
        image = picture(width, height)
        save(f"{size}.ppm", image)
        save(f"{size}.pgm", image.convert("L"))
        save(f"{size}.pbm", image.convert("1"))
        pixels = width * height
        for most in [1, 2, 3, 7, 100, 254, 255, 256, 1000, 4095, 65534, 65535]:
            for kind, channels in [(2, 1), (3, 3), (5, 1), (6, 3)]:
                if channels == 1 and most > 255:
                    continue  # Pillow clips these
                values = [random.randint(0, most) for _ in range(pixels * channels)]
                head = f"P{kind} {width}\n{height}\t# a comment\n{most}\n".encode()
                if kind < 4:
                    data = "".join(f"{v}{random.choice([' ', chr(10), '  '])}" for v in values).encode()
                else:
                    data = b"".join(struct.pack(">H" if most > 255 else "B", v) for v in values)
                write(f"P{kind}-{most}-{size}.ppm", head + data)
        bits = [random.randint(0, 1) for _ in range(pixels)]
        write(f"P1-{size}.pbm", f"P1\n# a comment\n{width} {height}\n".encode() + "".join(map(str, bits)).encode())
        write(f"P1-spaces-{size}.pbm", f"P1 {width} {height} ".encode() + " ".join(map(str, bits)).encode())
        write(f"P4-{size}.pbm", f"P4 {width} {height}\n".encode() + random.randbytes((width + 7) // 8 * height))
        # Samples above the maximum value, in formats that can hold them.
        write(f"above-{size}.ppm", f"P6 {width} {height} 100\n".encode() + random.randbytes(pixels * 3))
        write(f"above-gray-{size}.pgm", f"P5 {width} {height} 9\n".encode() + random.randbytes(pixels))
        write(f"short-{size}.ppm", f"P6 {width} {height} 255\n".encode() + bytes(pixels * 3 - 1))
        write(f"short-plain-{size}.ppm", f"P3 {width} {height} 255\n".encode() + b"1 " * (pixels * 3 - 1))
        write(f"large-plain-{size}.ppm", f"P3 {width} {height} 9\n".encode() + b"10 " * (pixels * 3))
    write("comments.ppm", b"P3#x\n2 1 255\n1 2 3 4 5 6")
    write("comment-in-number.ppm", b"P3 2 1#x\n5 255\n1#y\n2 2 3 4 5 6 " + b"7 " * 90)
    write("letters.ppm", b"P3 2 1 255\n1 2 3 x 5 6")
    write("zero.ppm", b"P6 0 1 255\n")
    write("maxval.ppm", b"P6 1 1 65536\n123456")


def tiffs():
    image = picture(37, 23)
    for orientation in range(1, 9):
        for kind in [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}]:
            save(f"orientation{orientation}-{kind.get('compression', 'raw')}.tif", image, tiffinfo={274: orientation}, **kind)
    for mode in ["1", "L", "P", "RGB", "RGBA", "CMYK", "LA"]:
        save(f"{mode}.tif", image.convert(mode))
    save("ycbcr.tif", image.convert("YCbCr"))
    save("near-ycbcr-lzw.tif", image.convert("YCbCr"), compression="tiff_lzw")
    save("jpeg.tif", image, compression="jpeg", quality=90)
    save("pages.tif", image, save_all=True, append_images=[picture(50, 50)])


def gifs():
    """The first frame covers only a part of the canvas, or more than the canvas."""
    image = picture(8, 5)
    for name, frame in [("gray", image.convert("L")), ("colors", image.quantize(16))]:
        for transparency in [None, 3]:
            for canvas in [(20, 10), (8, 5), (6, 4)]:
                file = os.path.join(folder, f"{name}-{transparency}-{canvas[0]}x{canvas[1]}.gif")
                frame.save(file, **({} if transparency is None else {"transparency": transparency}))
                data = bytearray(open(file, "rb").read())
                data[6:10] = struct.pack("<HH", *canvas)
                write(os.path.basename(file), data)
    save("animated.gif", picture(30, 20).quantize(32), save_all=True, append_images=[picture(30, 20).quantize(32)])
    save("interlaced.gif", picture(30, 20).quantize(32), interlace=1)


def avifs():
    smooth = Image.radial_gradient("L").resize((60, 44))
    image = Image.merge("RGB", [smooth, smooth.transpose(Image.Transpose.ROTATE_180), smooth.point(lambda v: 255 - v)])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        save(f"near-orientation{orientation}.avif", image, exif=exif, quality=95, subsampling="4:4:4")
    save("near-420.avif", image, quality=90)
    save("near-photo.avif", picture(60, 44), quality=90)


for make in [bitmaps, runs, portable, tiffs, gifs, avifs]:
    make()
results = {}
for name in sorted(os.listdir(folder)):
    try:
        rgb = Image.open(os.path.join(folder, name)).convert("RGB")
        results[name] = {"size": rgb.size, "sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}
        if name.startswith("near-"):
            write(name + ".rgb", rgb.tobytes())
    except Exception as error:
        results[name] = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(results))
