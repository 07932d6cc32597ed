"""Prints the SHA-256 of the RGB that the preprocessing of github.com/bubbliiiing/classification-pytorch (utils/utils.py,
letterbox_image) makes of the PNG files of a folder, with letterbox_image=True and False, for input_shape [224, 224]. This is a new
implementation of its description: bicubic, sizes truncated to integers, centred on gray; or torchvision's resize and center_crop."""

import hashlib
import json
import os
import sys

import stubs  # noqa: F401, before torchvision
from PIL import Image
from torchvision.transforms.functional import center_crop, resize

SIDE = 224


def letterbox(image):
    width, height = image.size
    scale = min(SIDE / width, SIDE / height)
    fitted = int(width * scale), int(height * scale)
    result = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    result.paste(image.resize(fitted, Image.BICUBIC), ((SIDE - fitted[0]) // 2, (SIDE - fitted[1]) // 2))
    return result


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


folder = sys.argv[1]
results = {}
for name in sorted(os.listdir(folder)):
    image = Image.open(os.path.join(folder, name)).convert("RGB")
    results[name] = {
        "classification-pytorch-letterbox": digest(letterbox(image)),
        "classification-pytorch": digest(center_crop(resize(image, SIDE), [SIDE, SIDE])),
    }
print(json.dumps(results))
