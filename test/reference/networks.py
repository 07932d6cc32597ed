"""Writes test/fixtures/networks.json: what torchvision's networks look like and how they are initialised.

Every architecture: names and shapes of the state dict (as one SHA-256), parameters. Some, for each family: the SHA-256 of
all initial tensors after torch.manual_seed(seed).

    python test/reference/networks.py
"""
import hashlib
import json
import pathlib

import torch

from stubs import torchvision_models

models = torchvision_models()

NAMES = [f"vgg{d}{s}" for d in (11, 13, 16, 19) for s in ("", "_bn")] + [
    "mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
]

# architecture, classes, seed, torchvision's arguments, ours
INITIAL = [
    ("vgg11", 10, 1, {}, {}),
    ("vgg16_bn", 3, 2, {}, {}),
    ("mobilenet_v2", 1000, 0, {}, {}),
    ("mobilenet_v2", 5, 3, {"width_mult": 0.5, "round_nearest": 4}, {"widthMult": 0.5, "roundNearest": 4}),
    ("mobilenet_v2", 5, 4, {"inverted_residual_setting": [[1, 16, 1, 1], [4, 24, 2, 2]]},
     {"invertedResidualSetting": [[1, 16, 1, 1], [4, 24, 2, 2]]}),
    ("resnet18", 1000, 0, {}, {}),
    ("resnet50", 1000, 5, {}, {}),
    ("resnet50", 7, 6, {"zero_init_residual": True}, {"zeroInitResidual": True}),
    ("resnet50", 7, 7, {"replace_stride_with_dilation": [False, True, True]},
     {"replaceStrideWithDilation": [False, True, True]}),
    ("resnext50_32x4d", 4, 8, {}, {}),
    ("wide_resnet50_2", 4, 9, {}, {}),
]


def structure(model):
    lines = [f"{name} {list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for name, t in model.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def contents(model):
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


result = {"torch": torch.__version__, "structure": {}, "initial": []}
for name in NAMES:
    with torch.device("meta"):
        model = getattr(models, name)()
    result["structure"][name] = {
        "sha256": structure(model),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
for name, classes, seed, arguments, options in INITIAL:
    torch.manual_seed(seed)
    model = getattr(models, name)(num_classes=classes, **arguments)
    result["initial"].append({
        "architecture": name, "numClasses": classes, "seed": seed, "options": options, "sha256": contents(model),
    })

path = pathlib.Path(__file__).parent.parent / "fixtures" / "networks.json"
path.write_text(json.dumps(result, indent=1) + "\n")
