"""gradients.py FOLDER: the gradients of one training step, in float64, for the trained convolutions.

Writes each network's weights as NAME.pth, at odd addresses, its images as NAME.images.f32 and its gradients, one parameter after the
other, as NAME.gradients.f32; prints [{architecture, setting, shape, loss, parameters: [[name, number of values]]}]. The labels
are 0, 1, 2, ...
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
cases = []
# Few layers and pixels: else float32's rounding turns some ReLU the other way, and the gradients with it. Of these
# channels, some are no multiple of a vector's width.
SETTING = [[1, 16, 1, 1], [6, 72, 2, 2], [6, 88, 1, 1]]
for architecture, options, shape in (
    ("resnet18", {}, (8, 64, 64)),
    ("vgg11", {}, (8, 64, 64)),
    ("mobilenet_v2", {"inverted_residual_setting": SETTING}, (4, 32, 32)),
):
    torch.manual_seed(0)
    model = get_model(architecture, num_classes=10, **options)
    settle(model, torch.randn(8, 3, 128, 128))
    save_at_odd_addresses(model.state_dict(), folder / f"{architecture}.pth")
    images = torch.randn(shape[0], 3, *shape[1:])
    images.numpy().tofile(folder / f"{architecture}.images.f32")
    model.double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0
    loss = torch.nn.functional.cross_entropy(model(images.double()), torch.arange(shape[0]))
    loss.backward()
    parameters = dict(model.named_parameters())
    gradients = torch.cat([parameter.grad.flatten() for parameter in parameters.values()])
    gradients.float().numpy().tofile(folder / f"{architecture}.gradients.f32")
    cases.append(
        {
            "architecture": architecture,
            "setting": options.get("inverted_residual_setting"),
            "shape": shape,
            "loss": loss.item(),
            "parameters": [[name, parameter.numel()] for name, parameter in parameters.items()],
        }
    )
print(json.dumps(cases))
