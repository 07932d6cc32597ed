"""Fixtures for test/parity/image-operations.test.ts: the results of torchvision's PIL back end for given parameters.

    python test/reference/image_operations.py > test/fixtures/image-operations.json

Needs torch, torchvision and Pillow. The formula below makes the images; the test repeats it. Each case has the operations
in the addon's form, and the SHA-256 of Pillow's RGB bytes. Pillow 9.4 and 13 agree, because no case shrinks the height much
more than the width (see docs/images.md).
"""

import hashlib
import json

import numpy as np
import PIL
import stubs  # noqa: F401, before torchvision
import torch
import torchvision
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms import v2
from torchvision.transforms.autoaugment import AugMix, AutoAugment, RandAugment, TrivialAugmentWide, _apply_op
from torchvision.transforms.functional import InterpolationMode

NEAREST, BILINEAR, BICUBIC = InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


def make(width, height):
    """Slopes, edges and noise, different in each channel."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    slope = (x * 5 * (c + 1) + y * 3) >> 1
    edge = np.where(((x >> 3) + (y >> 2) + c) % 3 == 0, 90, 0)
    noise = (x * 7919 + y * 104729 + c * 1299709) % 61
    return Image.fromarray(((slope + edge + noise) % 256).astype(np.uint8), "RGB")


photo = make(64, 48)
square = make(48, 48)
flat = Image.new("RGB", (64, 48), (200, 100, 100))
cases = []


def case(name, image, operations, result):
    source = "flat" if image is flat else f"{image.width}x{image.height}"
    sha256 = hashlib.sha256(result.tobytes()).hexdigest()
    entry = {"name": name, "image": source, "operations": operations, "size": list(result.size), "sha256": sha256}
    cases.append(entry)


def resize_op(image, size, filter="bilinear", start=None, crop=None):
    return {
        "op": "resize",
        "from": start or [0, 0, image.width, image.height],
        "size": size,
        "crop": crop or [0, 0, *size],
        "filter": filter,
    }


for mode in (BILINEAR, BICUBIC, NEAREST):
    for width, height in ((20, 31), (64, 30), (33, 48), (200, 100), (1, 1), (64, 48), (63, 49), (7, 300)):
        out = F.resize(photo, [height, width], mode)
        case(f"{mode.value} to {width}x{height}", photo, [resize_op(photo, [width, height], mode.value)], out)
    out = F.resized_crop(photo, 5, 9, 31, 40, [36, 36], mode)
    operation = resize_op(photo, [36, 36], mode.value, [9, 5, 40, 31])
    case(f"{mode.value} of a part (resized_crop)", photo, [operation], out)
    out = F.center_crop(F.resize(photo, 40, mode), [32])
    case(f"{mode.value}, of which the centre", photo, [resize_op(photo, [53, 40], mode.value, None, [10, 4, 32, 32])], out)

case("hflip", photo, [{"op": "horizontalFlip"}], F.hflip(photo))
case("vflip", photo, [{"op": "verticalFlip"}], F.vflip(photo))
fill = [9, 120, 250]
case("pad", photo, [{"op": "pad", "size": [80, 60], "at": [7, 3], "fill": fill}], F.pad(photo, [7, 3, 9, 9], tuple(fill)))

for factor in (0.0, 0.1, 0.55, 1.0, 1.37, 1.9):
    for op, adjust in (
        ("brightness", F.adjust_brightness),
        ("contrast", F.adjust_contrast),
        ("saturation", F.adjust_saturation),
        ("sharpness", F.adjust_sharpness),
    ):
        case(f"{op} {factor}", photo, [{"op": op, "amount": factor}], adjust(photo, factor))
for amount in (-0.5, -0.21, 0.0, 0.004, 0.1, 0.33, 0.5):
    case(f"hue {amount}", photo, [{"op": "hue", "amount": amount}], F.adjust_hue(photo, amount))
for bits in range(1, 9):
    case(f"posterize {bits}", photo, [{"op": "posterize", "amount": bits}], F.posterize(photo, bits))
for threshold in (0.0, 85.0, 113.3, 255.0):
    case(f"solarize {threshold}", photo, [{"op": "solarize", "amount": threshold}], F.solarize(photo, threshold))
dim = F.adjust_contrast(photo, 0.5)
for image, before, name in ((photo, [], ""), (flat, [], " of one colour"), (photo, [{"op": "contrast", "amount": 0.5}], " of a dim image")):
    source = dim if before else image
    case(f"autocontrast{name}", image, [*before, {"op": "autocontrast"}], F.autocontrast(source))
    case(f"equalize{name}", image, [*before, {"op": "equalize"}], F.equalize(source))
case("invert", photo, [{"op": "invert"}], F.invert(photo))

# The box and value of RandomErasing, on bytes.
pixels = F.pil_to_tensor(photo)
value = torch.tensor(fill, dtype=torch.uint8)[:, None, None]
erased = F.to_pil_image(F.erase(pixels, 4, 10, 21, 30, value))
case("erase", photo, [{"op": "erase", "box": [10, 4, 30, 21], "fill": fill}], erased)

# Geometric operations by their magnitudes: the test asks lib/image/affine.ts for the matrices.
for image in (photo, square):
    for mode in (NEAREST, BILINEAR):
        for angle in (0, 3.3, -30.0, 45, 90, -90, 117.5, 135, 180):
            operation = {"rotate": angle, "filter": mode.value}
            case(f"rotate {angle}, {mode.value}", image, [operation], F.rotate(image, angle, mode))
        for op, magnitudes in (
            ("ShearX", (0.3, -0.17, 0.99)),
            ("ShearY", (0.3, -0.17, 0.99)),
            ("TranslateX", (13.7, -32.0, 0.4)),
            ("TranslateY", (13.7, -32.0, 0.4)),
        ):
            for magnitude in magnitudes:
                operation = {op: magnitude, "filter": mode.value}
                out = _apply_op(image, op, magnitude, mode, None)
                case(f"{op} {magnitude}, {mode.value}", image, [operation], out)

# AugMix.forward, with given weights and chains. (torchvision runs the operations on tensors; here they run on PIL images, as they
# do in the other policies.)
weights, chains = [0.3, 0.42, 0.17, 0.11], [[("ShearX", 0.1), ("Posterize", 3)], [("Equalize", 0)], [("Color", -0.3), ("TranslateY", 13.7)]]
pixels = F.pil_to_tensor(photo)
mixed = torch.tensor(weights[0]) * pixels
for weight, chain in zip(weights[1:], chains, strict=True):
    augmented = photo
    for op, magnitude in chain:
        augmented = _apply_op(augmented, op, magnitude, BILINEAR, None)
    mixed.add_(torch.tensor(weight) * F.pil_to_tensor(augmented))
ours = [
    [{"ShearX": 0.1, "filter": "bilinear"}, {"op": "posterize", "amount": 3}],
    [{"op": "equalize"}],
    [{"op": "saturation", "amount": 0.7}, {"TranslateY": 13.7, "filter": "bilinear"}],
]
operation = {
    "op": "mix",
    "weight": weights[0],
    "chains": [{"weight": weight, "operations": chain} for weight, chain in zip(weights[1:], ours, strict=True)],
}
case("mix (AugMix)", photo, [operation], F.to_pil_image(mixed.to(torch.uint8)))

# The magnitudes of the policies, for an image of 224x160.
def spaces(policy, *arguments):
    return {
        name: [magnitudes.tolist() if magnitudes.ndim > 0 else None, signed]
        for name, (magnitudes, signed) in policy._augmentation_space(*arguments).items()
    }


policies = {
    "autoaugment": {"space": spaces(AutoAugment(), 10, (160, 224)), "policies": AutoAugment().policies},
    "randaugment": {"space": spaces(RandAugment(), 31, (160, 224))},
    "trivialaugment": {"space": spaces(TrivialAugmentWide(), 31)},
    "augmix": {"space": spaces(AugMix(), 10, (160, 224))},
}

# Batches of three images: normalised, blended and pasted, as float32 bytes.
def sha256(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
images = [photo, F.hflip(photo), F.adjust_contrast(photo, 1.37)]
batch = torch.stack([F.normalize(F.to_tensor(image), mean, std) for image in images])


def mix(transform, parameters):
    labels = torch.arange(3)
    return transform.transform(batch, {"labels": labels, "batch_size": 3, **parameters})


left, top, right, bottom = 10, 0, 31, 17
batches = {
    "normalized": sha256(batch),
    "mixup": {"weight": 0.3, "sha256": sha256(mix(v2.MixUp(num_classes=3), {"lam": 0.3}))},
    "cutmix": {
        "box": [left, top, right - left, bottom - top],
        "sha256": sha256(mix(v2.CutMix(num_classes=3), {"box": (left, top, right, bottom), "lam_adjusted": 0.5})),
    },
}

versions = {"torchvision": torchvision.__version__.split("+")[0], "pillow": PIL.__version__}
print("{")
print(f'"versions": {json.dumps(versions)},')
print(f'"policies": {json.dumps(policies)},')
print(f'"batches": {json.dumps(batches)},')
print('"cases": [')
print(",\n".join(json.dumps(entry) for entry in cases))
print("]}")
