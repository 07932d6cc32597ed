"""Writes pictures with each EXIF orientation into a folder, as JPEG, PNG, WebP, TIFF and AVIF files, and JPEGs whose EXIF data is of
unusual or damaged kinds. Prints for each the size and SHA-256 of the RGB after ImageOps.exif_transpose, and of torchvision's
evaluation crop of it (Resize 36, CenterCrop 32)."""

import hashlib
import json
import os
import random
import struct
import sys

import stubs  # noqa: F401, before torchvision
from PIL import Image, ImageFilter, ImageOps
from PIL.PngImagePlugin import PngInfo
from torchvision.transforms import CenterCrop, Resize

folder = sys.argv[1]
random.seed(0)
noise = Image.frombytes("RGB", (61, 45), random.randbytes(61 * 45 * 3))
picture = Image.blend(noise, noise.filter(ImageFilter.GaussianBlur(2)), 0.7)


AVIF = {"quality": 100, "subsampling": "4:4:4"}


def entry(tag, kind, count, value):
    return struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")


def tiff(*entries, order="<", offset=8):
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset)
    return head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


def orientations():
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        for extension, options in [("jpg", {}), ("png", {}), ("webp", {"lossless": True}), ("avif", AVIF)]:
            prefix = "near-" if extension == "avif" else ""
            picture.save(os.path.join(folder, f"{prefix}{orientation}.{extension}"), exif=exif, **options)
        picture.save(os.path.join(folder, f"{orientation}.tif"), tiffinfo={274: orientation})
        big = tiff(struct.pack(">HHIHH", 274, 3, 1, orientation, 0), order=">")
        picture.convert("L").save(os.path.join(folder, f"big-endian-gray-{orientation}.jpg"), exif=b"Exif\0\0" + big)


def unusual():
    short = struct.pack("<H", 6)
    kinds = {
        "long": tiff(entry(274, 4, 1, struct.pack("<I", 6))),
        "byte": tiff(entry(274, 1, 1, b"\6")),
        "two": tiff(entry(274, 3, 2, short * 2)),
        "three": tiff(entry(274, 3, 3, struct.pack("<I", 26))) + short * 3,
        "three-missing": tiff(entry(274, 3, 3, struct.pack("<I", 26))) + short,
        "none": tiff(entry(274, 3, 0, short)),
        "zero": tiff(entry(274, 3, 1, b"")),
        "nine": tiff(entry(274, 3, 1, struct.pack("<H", 9))),
        "huge": tiff(entry(274, 4, 1, struct.pack("<I", 2**32 - 1))),
        "twice": tiff(entry(274, 3, 1, struct.pack("<H", 3)), entry(274, 3, 1, short)),
        "after-others": tiff(entry(271, 2, 4, b"abc"), entry(274, 3, 1, short), entry(282, 4, 1, b"\1")),
        "empty": tiff(),
    }
    for name, exif in kinds.items():
        picture.save(os.path.join(folder, f"{name}.jpg"), exif=b"Exif\0\0" + exif)
    picture.save(os.path.join(folder, "progressive.jpg"), exif=b"Exif\0\0" + tiff(entry(274, 3, 1, short)), progressive=True)
    picture.convert("CMYK").save(os.path.join(folder, "cmyk.jpg"), exif=b"Exif\0\0" + tiff(entry(274, 3, 1, short)))


def in_xmp():
    """The orientation in XMP data, which Pillow uses if the EXIF data has none."""
    for orientation in range(10):
        attribute = f'<rdf:Description tiff:Orientation="{orientation}"/>'.encode()
        element = f"<tiff:Orientation>{orientation}</tiff:Orientation>".encode()
        without = b"Exif\0\0" + tiff(entry(271, 2, 4, b"abc"))
        picture.save(os.path.join(folder, f"xmp-{orientation}.jpg"), xmp=attribute, exif=without)
        picture.save(os.path.join(folder, f"xmp-{orientation}.webp"), xmp=element, lossless=True)
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", element.decode(), zip=orientation % 2 == 1)
        picture.save(os.path.join(folder, f"xmp-{orientation}.png"), pnginfo=text)
        xmp = attribute if orientation % 2 == 1 else element
        picture.save(os.path.join(folder, f"xmp-{orientation}.tif"), tiffinfo={700: xmp})
        picture.save(os.path.join(folder, f"near-xmp-{orientation}.avif"), xmp=xmp, exif=without, **AVIF)
    both = Image.Exif()
    both[274] = 8
    six = attribute.replace(b"9", b"6")
    for extension, options in [("jpg", {}), ("webp", {"lossless": True}), ("avif", AVIF)]:
        prefix = "near-" if extension == "avif" else ""
        picture.save(os.path.join(folder, f"{prefix}xmp-and-exif.{extension}"), xmp=six, exif=both, **options)
    for orientation in [0, 1, 8, 9]:
        picture.save(os.path.join(folder, f"xmp-and-tag-{orientation}.tif"), tiffinfo={274: orientation, 700: six})
    both[274] = 1
    picture.save(os.path.join(folder, "near-xmp-and-no-exif.avif"), xmp=six, exif=both, **AVIF)  # Pillow drops the 1


orientations()
unusual()
in_xmp()
results = {}
crop = CenterCrop(32)
for name in sorted(os.listdir(folder)):
    image = ImageOps.exif_transpose(Image.open(os.path.join(folder, name))).convert("RGB")
    digest = lambda image: hashlib.sha256(image.tobytes()).hexdigest()
    results[name] = {"size": image.size, "rgb": digest(image), "crop": digest(crop(Resize(36)(image)))}
    if name.startswith("near-"):
        with open(os.path.join(folder, name + ".rgb"), "wb") as file:
            file.write(image.tobytes())
print(json.dumps(results))
