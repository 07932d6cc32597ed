"""input_sizes.py FOLDER SETTINGS: prints {NAME: [SHA-256, ...]}, for each PNG file of the folder that of the RGB which each of the
settings (a JSON list) makes of it with torchvision's transforms and Pillow. A setting has mode, resize, crop ([height, width]) and
fill. `letterbox` follows classification-pytorch (see letterbox.py); `pad` is the same with sizes rounded to the nearest integer."""

import hashlib
import json
import math
import os
import sys

import stubs  # noqa: F401, before torchvision
from PIL import Image
from torchvision import transforms


def fit(image, height, width, fill, rounded):
    scale = min(width / image.width, height / image.height)
    fitted = [max(1, rounded(side * scale)) for side in image.size]
    result = Image.new("RGB", (width, height), tuple(fill))
    result.paste(image.resize(fitted, Image.BILINEAR), ((width - fitted[0]) // 2, (height - fitted[1]) // 2))
    return result


def transform(image, mode, resize, crop, fill):
    if mode == "crop":
        return transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])(image)
    if mode == "squish":
        return transforms.Resize(crop)(image)
    return fit(image, *crop, fill, int if mode == "letterbox" else lambda side: math.floor(side + 0.5))


folder, settings = sys.argv[1], json.loads(sys.argv[2])
results = {}
for name in sorted(os.listdir(folder)):
    image = Image.open(os.path.join(folder, name)).convert("RGB")
    results[name] = [hashlib.sha256(transform(image, **each).tobytes()).hexdigest() for each in settings]
print(json.dumps(results))
