"""gradients.py FOLDER: the gradients of one training step, in float64, for the trained convolutions.

Writes each case's weights as NAME.pth, at odd addresses, its images as NAME.images.f32 and its gradients, one parameter after the
other, as NAME.gradients.f32; prints [{name, architecture, options, shape, loss, parameters: [[name, number of values]], bfloat16,
bfloat16All}], the last two: for each parameter, and all together, how far the gradient under autocast to bfloat16 is from it, the norm of
the difference as a share of its norm. The labels are 0, 1, 2, ... and 0 again after 9.
"""

import copy
import json
import pathlib
import sys

import torch

import stubs  # noqa: F401  before torchvision
from legacy import save_at_odd_addresses
from settle import settle
from torchvision.models import VisionTransformer, get_model
from torchvision.ops import StochasticDepth

folder = pathlib.Path(sys.argv[1])
cases = []


KINKS = {
    torch.nn.ReLU: (0,),
    torch.nn.ReLU6: (0, 6),
    torch.nn.Hardswish: (-3, 3),
    torch.nn.Hardsigmoid: (-3, 3),
}


def kinks(activation):
    return KINKS[type(activation)]


@torch.no_grad()
def keep_off_kinks(model, images):
    """Changes the biases a little, so that no value lies near to a ReLU's kink.

    Each channel's by what takes its values farthest away, of shifts up to a twentieth of the layer's standard deviation.
    """
    last = []  # the layer whose bias the next ReLU's inputs contain

    def remember(module, *_):
        last[:] = [module]

    def shift(relu, inputs):
        x = inputs[0].transpose(0, 1).flatten(1)  # of each channel
        best, distance = torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(x), dtype=x.dtype)
        for candidate in torch.linspace(-0.05, 0.05, 201, dtype=x.dtype) * x.std():
            nearest = torch.stack([(x + (candidate - kink)).abs().amin(1) for kink in kinks(relu)]).amin(0)
            best = torch.where(nearest > distance, candidate, best)
            distance = torch.maximum(nearest, distance)
        last[0].bias += best
        return inputs[0] + best.view(-1, *[1] * (inputs[0].dim() - 2))

    handles = []
    for module in model.modules():
        if type(module) in KINKS:
            handles.append(module.register_forward_pre_hook(shift))
        elif getattr(module, "bias", None) is not None:
            handles.append(module.register_forward_hook(remember))
    model(images)
    for handle in handles:
        handle.remove()


@torch.no_grad()
def is_clear(model, images):
    """Whether all values stay farther than rounding from where a gradient changes its way: a ReLU's kink, and the second
    largest of a pooling window, which rounding moves less: the errors of a channel's mean are those of both."""
    far = []

    def hook(module, inputs, _):
        x = inputs[0]
        if isinstance(module, torch.nn.MaxPool2d):
            k, stride, padding = module.kernel_size, module.stride, module.padding
            windows = torch.nn.functional.unfold(x.flatten(0, 1).unsqueeze(1), k, padding=padding, stride=stride)
            best = windows.topk(2, dim=1).values
            distances, margin = (best[:, 0] - best[:, 1])[best[:, 0] > 0], 2e-6
        else:
            distances, margin = torch.stack([(x - kink).abs() for kink in kinks(module)]), 1e-5
        far.append(distances.min() > margin * x.std())

    kinds = (*KINKS, torch.nn.MaxPool2d)
    handles = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, kinds)]
    model(images)
    for handle in handles:
        handle.remove()
    return all(far)


def norm_of(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).norm()


# Few layers and pixels. Of these channels, some are no multiple of a vector's width, of these sizes, some are odd. So many
# images as in the last case cannot all be kept off the kinks: it is for bfloat16, in which values cross them in any case.
SETTING = [[1, 16, 1, 1], [6, 72, 2, 2], [6, 88, 1, 1]]
LARGE = "resnet18, large batch"
# name, architecture, torchvision's arguments, ours, images
CASES = (
    ("resnet18", "resnet18", {}, {}, (8, 75, 61)),
    ("resnet50", "resnet50", {}, {}, (4, 40, 33)),
    ("vgg11", "vgg11", {}, {"dropout": 0}, (10, 52, 44)),
    (
        "mobilenet_v2",
        "mobilenet_v2",
        {"inverted_residual_setting": SETTING},
        {"invertedResidualSetting": SETTING, "dropout": 0},
        (4, 32, 32),
    ),
    ("squeezenet1_1", "squeezenet1_1", {}, {"dropout": 0}, (4, 40, 33)),
    ("alexnet", "alexnet", {}, {"dropout": 0}, (4, 67, 71)),
    ("convnext_tiny", "convnext_tiny", {}, {"stochasticDepthProb": 0}, (2, 64, 48)),
    (
        "vit_b_16",
        "vit_b_16",
        {"image_size": 64, "num_layers": 3, "num_heads": 3, "hidden_dim": 96, "mlp_dim": 200},
        {"imageSize": 64, "numLayers": 3, "numHeads": 3, "hiddenDim": 96, "mlpDim": 200},
        (4, 64, 64),
    ),
    # Windows that are padded and shifted.
    ("swin_t", "swin_t", {}, {"stochasticDepthProb": 0}, (2, 64, 80)),
    (LARGE, "resnet18", {}, {}, (28, 64, 61)),
)


def create(architecture, arguments):
    if architecture == "vit_b_16":
        return VisionTransformer(patch_size=16, num_classes=10, **arguments)
    return get_model(architecture, num_classes=10, **arguments)


for name, architecture, arguments, options, shape in CASES:
    torch.manual_seed(0)
    model = create(architecture, arguments)
    size = arguments.get("image_size", 128)
    settle(model, torch.randn(8, 3, size, size))
    for key, parameter in model.named_parameters():
        if key.endswith("bn3.weight"):  # of so many blocks of equal weight, rounding errors would come out a thousandfold
            parameter.data *= 0.1
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout | StochasticDepth):
            module.p = 0
        if type(module) in KINKS:
            module.inplace = False
    settled = copy.deepcopy(model.state_dict())
    for _ in range(100):
        images = torch.randn(shape[0], 3, *shape[1:])
        model.load_state_dict(settled)
        keep_off_kinks(model.double(), images.double())
        model.float().double()  # what the file will hold
        if name == LARGE or is_clear(model, images.double()):
            break
    else:
        sys.exit(f"{name}: a value of each of 100 draws is near a kink; the margins are too wide for this network")
    save_at_odd_addresses(model.float().state_dict(), folder / f"{name}.pth")
    images.numpy().tofile(folder / f"{name}.images.f32")
    labels = torch.arange(shape[0]) % 10
    loss = torch.nn.functional.cross_entropy(model.double()(images.double()), labels)
    loss.backward()
    parameters = dict(model.named_parameters())
    gradients = [parameter.grad for parameter in parameters.values()]
    model.float().zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rounded_loss = torch.nn.functional.cross_entropy(model(images), labels)
    rounded_loss.backward()
    rounded = [parameter.grad for parameter in parameters.values()]
    torch.cat([gradient.flatten() for gradient in gradients]).float().numpy().tofile(folder / f"{name}.gradients.f32")
    cases.append(
        {
            "name": name,
            "architecture": architecture,
            "options": options,
            "shape": shape,
            "loss": loss.item(),
            "parameters": [[key, parameter.numel()] for key, parameter in parameters.items()],
            "bfloat16": [((a - b).norm() / b.norm()).item() for a, b in zip(rounded, gradients, strict=True)],
            "bfloat16All": (norm_of([a - b for a, b in zip(rounded, gradients, strict=True)]) / norm_of(gradients)).item(),
        }
    )
print(json.dumps(cases))
