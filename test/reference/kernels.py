"""kernels.py FOLDER: torchvision's logits of images of odd sizes, for the inference kernels.

Computes them in float64, with PyTorch's own deviation in bfloat16. On such small images, random networks magnify rounding
errors: PyTorch's own in float32 are up to 7e-6 of the largest logit.

Writes each network's weights as NAME.pth, those of VGG at odd addresses, and its images as NAME-NxHxW.f32, and prints [{architecture, shape, images,
weights, logits, bfloat16}].
"""

import json
import pathlib
import sys

import torch

import stubs  # noqa: F401  before torchvision
from legacy import save_at_odd_addresses
from settle import settle
from torchvision.models import get_model

folder = pathlib.Path(sys.argv[1])
shapes = [(1, 224, 224), (1, 65, 97), (3, 131, 74), (9, 64, 64)]
cases = []
for architecture in ("resnet18", "resnet50", "mobilenet_v2", "vgg11_bn"):
    torch.manual_seed(0)
    model = get_model(architecture, num_classes=10)
    settle(model, torch.randn(8, 3, 128, 128))
    save = save_at_odd_addresses if architecture == "vgg11_bn" else torch.save
    save(model.state_dict(), folder / f"{architecture}.pth")
    for shape in shapes:
        images = torch.randn(shape[0], 3, *shape[1:])
        name = f"{architecture}-{'x'.join(map(str, shape))}.f32"
        images.numpy().tofile(folder / name)
        with torch.no_grad():
            logits = model.double().eval()(images.double())
        model.bfloat16()
        with torch.no_grad():
            rounded = model(images.bfloat16()).double()
        model.float().load_state_dict(torch.load(folder / f"{architecture}.pth"))
        cases.append(
            {
                "architecture": architecture,
                "shape": shape,
                "images": name,
                "weights": f"{architecture}.pth",
                "logits": logits.flatten().tolist(),
                "bfloat16": ((rounded - logits).abs().max() / logits.abs().max()).item(),
            }
        )
print(json.dumps(cases))
