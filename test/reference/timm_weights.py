"""Weights with timm's names, and timm's logits.

timm_weights.py write FOLDER       saves random weights of each network in NETWORKS, and prints the logits of a fixed input
timm_weights.py read JSON          prints the logits of weights; JSON is a list of {"path", "name"}
"""

import json
import pathlib
import sys

import stubs  # noqa: F401  before torchvision, which timm imports
import timm
import torch
from safetensors.torch import load_file, save_file

from settle import settle

# torchvision's name, timm's, and the side of the input.
NETWORKS = {
    "resnet18": ("resnet18", 64),
    "mobilenet_v2": ("mobilenetv2_100", 64),
    "efficientnet_b0": ("efficientnet_b0", 64),
    "mobilenet_v3_large": ("mobilenetv3_large_100", 64),
    "mobilenet_v3_small": ("mobilenetv3_small_100", 64),
    "efficientnet_v2_s": ("efficientnetv2_s", 64),
    "mnasnet1_0": ("mnasnet_100", 64),
    "regnet_x_400mf": ("regnetx_004_tv", 64),
    "regnet_y_400mf": ("regnety_004", 64),
    "densenet121": ("densenet121", 64),
    "convnext_tiny": ("convnext_tiny", 64),
    "swin_t": ("swin_tiny_patch4_window7_224", 224),
    "swin_v2_t": ("swinv2_tiny_window8_256", 256),
}
if len(sys.argv) > 3:  # for a manual check
    NETWORKS = {sys.argv[3]: (sys.argv[4], int(sys.argv[5]))}


def logits(model: torch.nn.Module, side: int) -> list[float]:
    pixels = torch.arange(3 * side * side, dtype=torch.float32).reshape(1, 3, side, side)
    with torch.no_grad():
        return model.eval()(torch.sin(pixels)).flatten().tolist()


def write(folder: pathlib.Path) -> None:
    torch.manual_seed(0)
    result = {}
    for name, (theirs, side) in NETWORKS.items():
        model = timm.create_model(theirs, num_classes=5)
        for key, value in model.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.ndim == 1 and value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.2)
        if theirs.startswith(("efficientnetv2", "mobilenetv3")):  # otherwise logits of up to 1e7 magnify rounding errors
            settle(model, torch.randn(4, 3, side, side), branch_weight=0.2)
        path = folder / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
        result[name] = {"path": str(path), "side": side, "name": theirs, "logits": logits(model, side)}
    print(json.dumps(result))


def read(files: list[dict]) -> None:
    result = []
    for file in files:
        model = timm.create_model(file["name"], num_classes=5)
        model.load_state_dict(load_file(file["path"]), strict=True)
        result.append(logits(model, file["side"]))
    print(json.dumps(result))


if sys.argv[1] == "write":
    write(pathlib.Path(sys.argv[2]))
else:
    read(json.loads(sys.argv[2]))
