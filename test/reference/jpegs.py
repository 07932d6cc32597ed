"""Writes JPEG files of many kinds with Pillow into a folder, and prints the SHA-256 of the RGB that Pillow reads back."""

import hashlib
import json
import os
import random
import sys

from PIL import Image, ImageFilter

folder = sys.argv[1]
random.seed(0)


def picture(width, height):
    # Coarse noise with sharp edges: every coefficient of the transform is used, and chroma differs from pixel to pixel.
    image = Image.frombytes("RGB", (width, height), random.randbytes(width * height * 3))
    return Image.blend(image, image.filter(ImageFilter.GaussianBlur(2)), 0.7)


digests = {}
for width, height in [(1, 1), (2, 3), (7, 9), (16, 16), (17, 33), (64, 48), (101, 75), (333, 250)]:
    for subsampling in ["4:4:4", "4:2:2", "4:2:0", "gray", "rgb"]:
        for variant in [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"quality": 100}, {"quality": 5}]:
            image = picture(width, height)
            options = dict(variant)
            if subsampling == "gray":
                image = image.convert("L")
            elif subsampling == "rgb":
                options["keep_rgb"] = True
            else:
                options["subsampling"] = subsampling
            kind = "-".join(map(str, [k for o in variant.items() for k in o])) or "baseline"
            name = f"{width}x{height}-{subsampling.replace(':', '')}-{kind}.jpg"
            path = os.path.join(folder, name)
            image.save(path, **options)
            digests[name] = hashlib.sha256(Image.open(path).convert("RGB").tobytes()).hexdigest()
print(json.dumps(digests))
