"""outputs.py FOLDER SIZES ARCHITECTURE ...: logits of networks for images of each size, and their weights.

SIZES: numbers or HEIGHTxWIDTH, separated by commas: two images of the first size, one of each other. Writes random weights, settled as
if by some training, to FOLDER/ARCHITECTURE.pth and the images to FOLDER/SIZE.f32. Prints {"ARCHITECTURE": {"SIZE": {"images",
"logits": [...], "deviation"}}}: logits computed in float64, and the largest deviation of those in float32, as a fraction of the
largest logit.
"""

import json
import os
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor

import torch

import stubs  # noqa: F401  before torchvision
from settle import settle
from torchvision.models import get_model

folder, sizes, architectures = pathlib.Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
torch.set_num_threads(1)
images = {}
for index, size in enumerate(sizes):
    count = 2 if index == 0 else 1
    height, width = [int(side) for side in (size.split("x") if "x" in size else (size, size))]
    images[size] = torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(height))
    images[size].numpy().tofile(folder / f"{size}.f32")


@torch.no_grad()
def outputs(architecture):
    torch.manual_seed(0)
    needs = {"init_weights": True} if architecture in ("googlenet", "inception_v3") else {}
    model = get_model(architecture, num_classes=10, **needs)
    settle(model, images[sizes[0]], branch_weight=0.2)
    torch.save(model.state_dict(), folder / f"{architecture}.pth")
    single = {size: model(batch).double() for size, batch in images.items()}
    model.double()
    result = {}
    for size, batch in images.items():
        logits = model(batch.double())
        deviation = (single[size] - logits).abs().max() / logits.abs().max()
        result[size] = {"images": len(batch), "logits": logits.flatten().tolist(), "deviation": deviation.item()}
    return result


# One process for each core, because each computes on one thread. Two of the largest networks would not fit into memory.
with ProcessPoolExecutor(1 if "VISIONTORCH_TEST_LARGE" in os.environ else os.cpu_count()) as pool:
    print(json.dumps(dict(zip(architectures, pool.map(outputs, architectures), strict=True))))
