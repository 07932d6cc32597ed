"""gradients.py FOLDER: the gradients of one training step, in float64, for the trained convolutions.

Writes each network's weights as NAME.pth, at odd addresses, its images as NAME.images.f32 and its gradients, one parameter after the
other, as NAME.gradients.f32; prints [{architecture, setting, shape, loss, parameters: [[name, number of values]], bfloat16}], the last: how
far those of autocast to bfloat16 are from them, the norm of the difference as a share of their norm. The labels are 0, 1, 2, ...
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


def margin(model, images):
    """How far, in standard deviations, all values stay from where a gradient changes its way: a ReLU's kink, and the
    second largest of a pooling window."""
    distances = []

    def hook(module, inputs, _):
        x = inputs[0].detach()
        if isinstance(module, torch.nn.MaxPool2d):
            k, stride, padding = module.kernel_size, module.stride, module.padding
            windows = torch.nn.functional.unfold(x.flatten(0, 1).unsqueeze(1), k, padding=padding, stride=stride)
            best = windows.topk(2, dim=1).values
            gaps = (best[:, 0] - best[:, 1])[best[:, 0] > 0]
        else:
            gaps = x.abs()
            if isinstance(module, torch.nn.ReLU6):
                gaps = torch.minimum(gaps, (x - 6).abs())
        distances.append((gaps.min() / x.std()).item())

    kinds = (torch.nn.ReLU, torch.nn.ReLU6, torch.nn.MaxPool2d)
    handles = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        model(images.double())
    for handle in handles:
        handle.remove()
    return min(distances)


# Few layers and pixels, and images of which no value is so near to a kink that float32's rounding turns its gradient
# the other way. Of these channels, some are no multiple of a vector's width, of these sizes, some are odd.
SETTING = [[1, 16, 1, 1], [6, 72, 2, 2], [6, 88, 1, 1]]
for architecture, options, shape in (
    ("resnet18", {}, (8, 75, 61)),
    ("resnet50", {}, (4, 40, 33)),
    ("vgg11", {}, (8, 32, 32)),
    ("mobilenet_v2", {"inverted_residual_setting": SETTING}, (4, 32, 32)),
):
    torch.manual_seed(0)
    model = get_model(architecture, num_classes=10, **options)
    settle(model, torch.randn(8, 3, 128, 128))
    for name, parameter in model.named_parameters():
        if name.endswith("bn3.weight"):  # of so many blocks of equal weight, rounding errors would come out a thousandfold
            parameter.data *= 0.1
    save_at_odd_addresses(model.state_dict(), folder / f"{architecture}.pth")
    model.double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0
        if isinstance(module, torch.nn.ReLU | torch.nn.ReLU6):
            module.inplace = False
    candidates = (torch.randn(shape[0], 3, *shape[1:]) for _ in range(1000))
    images = next((images for images in candidates if margin(model, images) > 2e-6), None)
    if images is None:
        sys.exit(f"{architecture}: a value of each of 1000 draws is near a kink; the margin is too wide for this network")
    images.numpy().tofile(folder / f"{architecture}.images.f32")
    loss = torch.nn.functional.cross_entropy(model(images.double()), torch.arange(shape[0]))
    loss.backward()
    parameters = dict(model.named_parameters())
    gradients = torch.cat([parameter.grad.flatten() for parameter in parameters.values()])
    model.float().zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rounded_loss = torch.nn.functional.cross_entropy(model(images), torch.arange(shape[0]))
    rounded_loss.backward()
    rounded = torch.cat([parameter.grad.flatten() for parameter in parameters.values()])
    gradients.float().numpy().tofile(folder / f"{architecture}.gradients.f32")
    cases.append(
        {
            "architecture": architecture,
            "setting": options.get("inverted_residual_setting"),
            "shape": shape,
            "loss": loss.item(),
            "parameters": [[name, parameter.numel()] for name, parameter in parameters.items()],
            "bfloat16": ((rounded - gradients).norm() / gradients.norm()).item(),
        }
    )
print(json.dumps(cases))
