"""Writes test/fixtures/networks.json: the structure and initialization of torchvision's networks.

Every architecture with 10 classes: names and shapes of the state dict (as one SHA-256), the SHA-256 of all initial
tensors after torch.manual_seed(seed), parameters; and the figures that torchvision publishes for its official weights with
the smallest input size: parameters, multiply-adds (in billions). Some networks also have options of the constructor.

    python test/reference/networks.py

On Arm, where PyTorch draws other numbers from the normal distribution, it writes the SHA-256 of the initial tensors of the
named networks into test/fixtures/networks-arm64.json. networks_arm64.sh runs this in an emulator.

    python test/reference/networks.py squeezenet1_1 mobilenet_v2
"""
import hashlib
import json
import pathlib
import platform
import sys

import torch

from stubs import torchvision_models

models = torchvision_models()

NAMES = models.list_models(module=models)

# architecture, classes, seed, torchvision's arguments, ours
INITIAL = [
    ("mobilenet_v2", 5, 3, {"width_mult": 0.5, "round_nearest": 4}, {"widthMult": 0.5, "roundNearest": 4}),
    ("mobilenet_v2", 5, 4, {"inverted_residual_setting": [[1, 16, 1, 1], [4, 24, 2, 2]]},
     {"invertedResidualSetting": [[1, 16, 1, 1], [4, 24, 2, 2]]}),
    ("mobilenet_v3_large", 5, 8, {"width_mult": 0.75, "reduced_tail": True, "dilated": True},
     {"widthMult": 0.75, "reducedTail": True, "dilated": True}),
    ("mobilenet_v3_small", 5, 9, {"width_mult": 1.25}, {"widthMult": 1.25}),
    ("regnet_y_400mf", 5, 10, {"stem_width": 24}, {"stemWidth": 24}),
    ("convnext_tiny", 5, 11, {"layer_scale": 0.25}, {"layerScale": 0.25}),
    ("vit_b_32", 5, 12, {"image_size": 64, "representation_size": 24}, {"imageSize": 64, "representationSize": 24}),
    ("swin_v2_t", 5, 13, {"mlp_ratio": 1.5}, {"mlpRatio": 1.5}),
    ("maxvit_t", 5, 14, {"mlp_ratio": 2, "squeeze_ratio": 0.5, "expansion_ratio": 2},
     {"mlpRatio": 2, "squeezeRatio": 0.5, "expansionRatio": 2}),
    ("resnet50", 7, 6, {"zero_init_residual": True}, {"zeroInitResidual": True}),
    ("resnet50", 7, 7, {"replace_stride_with_dilation": [False, True, True]},
     {"replaceStrideWithDilation": [False, True, True]}),
]


def structure(model):
    lines = [f"{name} {list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for name, t in model.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def contents(model):
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def create(name, **arguments):
    if name in ("googlenet", "inception_v3"):
        arguments["init_weights"] = True  # torchvision's default, about which it warns
    return getattr(models, name)(**arguments)


def published(name):
    """Returns the input size and multiply-adds of the official weights for the smallest images."""
    weights = min(models.get_model_weights(name), key=lambda each: each.transforms().crop_size)
    return {
        "inputSize": weights.transforms().crop_size[0],
        "parameters": weights.meta["num_params"],
        "multiplyAdds": weights.meta["_ops"],
    }


FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"

if platform.machine() == "aarch64":
    initial = {}
    for name in sys.argv[1:]:
        torch.manual_seed(NAMES.index(name))
        initial[name] = contents(create(name, num_classes=10))
    result = {"torch": torch.__version__, "initial": initial}
    (FIXTURES / "networks-arm64.json").write_text(json.dumps(result, indent=1) + "\n")
    sys.exit()

result = {"torch": torch.__version__, "structure": {}, "initial": []}
for seed, name in enumerate(NAMES):
    torch.manual_seed(seed)
    model = create(name, num_classes=10)
    result["structure"][name] = {
        "sha256": structure(model),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": seed,
        "initial": contents(model),
        "published": published(name),
    }
for name, classes, seed, arguments, options in INITIAL:
    torch.manual_seed(seed)
    model = create(name, num_classes=classes, **arguments)
    result["initial"].append({
        "architecture": name, "numClasses": classes, "seed": seed, "options": options, "sha256": contents(model),
    })

(FIXTURES / "networks.json").write_text(json.dumps(result, indent=1) + "\n")
