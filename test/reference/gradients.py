"""gradients.py FOLDER CASE ...: the gradients of one training step, in float64, for the trained convolutions.

Writes each case's weights as NAME.pth, at odd addresses, its images as NAME.images.f32 and its gradients, one parameter after the
other, as NAME.gradients.f32; prints [{name, architecture, options, shape, loss, parameters: [[name, number of values]], bfloat16,
bfloat16All}]. The last two are, for each parameter and for all together, the deviation of the gradient under autocast to bfloat16: the
norm of the difference as a fraction of the gradient's norm. The labels are 0, 1, 2, ... and 0 again after 9.
"""

import copy
import json
import os
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor
from unittest import mock

import torch
import torch.nn.functional as F

import stubs  # noqa: F401  before torchvision
from legacy import save_at_odd_addresses
from settle import settle
from torchvision.models import VisionTransformer, get_model
from torchvision.ops import StochasticDepth

folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
torch.set_num_threads(1)

# Where the slopes of activations change.
KINKS = {"relu": (0,), "hardtanh": (0, 6), "hardswish": (-3, 3), "hardsigmoid": (-3, 3)}


def watching(on_activation, on_pool=lambda *_: None):
    """Replaces the functions of KINKS, so that they get the result of on_activation(x, kinks), and passes on the windows of max pooling."""

    def activation(name):
        original = getattr(F, name)
        return lambda x, *arguments, **options: original(on_activation(x, KINKS[name]), *arguments, **options)

    def max_pool2d(x, kernel_size, stride, padding=0, *arguments, ceil_mode=False, **options):
        end = padding + stride if ceil_mode else padding
        padded = F.pad(x, (padding, end, padding, end), value=-torch.inf)
        on_pool(x, padded.unfold(2, kernel_size, stride).unfold(3, kernel_size, stride).flatten(-2))
        return pool(x, kernel_size, stride, padding, *arguments, ceil_mode=ceil_mode, **options)

    pool = F.max_pool2d
    return mock.patch.multiple(F, **{name: activation(name) for name in KINKS}, max_pool2d=max_pool2d)


@torch.no_grad()
def keep_off_kinks(model, images):
    """Changes the biases a little, so that no value is close to an activation's kink.

    Shifts each channel by up to a twentieth of the layer's standard deviation, choosing the shift that moves its values farthest away.
    """
    last = []  # the layer whose bias the next activation's inputs contain

    def remember(module, *_):
        last[:] = [module]

    def shift(x, kinks):
        channel = -1 if isinstance(last[0], torch.nn.Linear) else 1
        values = x.movedim(channel, 0).flatten(1).contiguous().sort(1).values.contiguous()
        shifts = torch.linspace(-0.05, 0.05, 201, dtype=x.dtype) * x.std()
        targets = (torch.tensor(kinks)[:, None] - shifts).flatten().expand(len(values), -1).contiguous()
        above = torch.searchsorted(values, targets).clamp(max=values.shape[1] - 1)
        neighbors = torch.stack([values.gather(1, above), values.gather(1, (above - 1).clamp(min=0))])
        distances = (neighbors - targets).abs().amin(0).view(len(values), len(kinks), -1).amin(1)
        best = shifts[distances.argmax(1)]
        last[0].bias += best
        return x + (best if channel == -1 else best.view(-1, *[1] * (x.dim() - 2)))

    handles = [
        module.register_forward_hook(remember)
        for module in model.modules()
        if getattr(module, "bias", None) is not None
    ]
    with watching(shift):
        model(images)
    for handle in handles:
        handle.remove()


@torch.no_grad()
def is_clear(model, images):
    """Returns whether rounding cannot change the path of a gradient: no value is close to an activation's kink or to the largest of its
    pooling window. Rounding moves the latter less, because an error in a channel's mean affects both values."""
    far = []

    def activation(x, kinks):
        far.append(all((x - kink).abs().min() > 1e-5 * x.std() for kink in kinks))
        return x

    def pool(x, windows):
        best, second = windows.topk(2).values.unbind(-1)
        # An earlier pooling may have duplicated a value: the copies are equal and have the same gradient.
        far.append((best - second)[(best > 0) & (best > second)].min() > 2e-6 * x.std())

    with watching(activation, pool):
        model(images)
    return all(far)


def norm_of(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).norm()


# Few layers and pixels. Some numbers of channels are not multiples of a vector's width, and some sizes are odd. The last case has too
# many images to keep all away from the kinks. It is for bfloat16, in which values cross them in any case.
SETTING = [[1, 16, 1, 1], [6, 72, 2, 2], [6, 88, 1, 1]]
LARGE = "resnet18, large batch"
# Networks with many residual blocks, which magnify rounding errors.
DEEP = ("mobilenet_v3", "efficientnet", "regnet", "mnasnet")
# The seeds of images that have no near tie in any of these networks' many pooling layers. Rounding would decide a tie, and with it
# the gradients of all layers before.
SEEDS = {"googlenet": 115, "inception_v3": 53}
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
    ("mobilenet_v3_small", "mobilenet_v3_small", {}, {"dropout": 0}, (4, 64, 48)),
    ("efficientnet_b0", "efficientnet_b0", {}, {"dropout": 0, "stochasticDepthProb": 0}, (3, 64, 48)),
    ("efficientnet_v2_s", "efficientnet_v2_s", {}, {"dropout": 0, "stochasticDepthProb": 0}, (3, 64, 48)),
    ("regnet_x_400mf", "regnet_x_400mf", {}, {}, (4, 64, 48)),
    ("regnet_y_400mf", "regnet_y_400mf", {}, {}, (4, 64, 48)),
    ("densenet121", "densenet121", {}, {}, (3, 64, 48)),
    ("mnasnet0_5", "mnasnet0_5", {}, {"dropout": 0}, (4, 64, 48)),
    ("shufflenet_v2_x0_5", "shufflenet_v2_x0_5", {}, {}, (4, 64, 48)),
    # With its auxiliary heads.
    ("googlenet", "googlenet", {"init_weights": True}, {"dropout": 0, "dropoutAux": 0}, (3, 64, 80)),
    # Without its auxiliary head, which needs 299 pixels.
    ("inception_v3", "inception_v3", {"init_weights": False, "aux_logits": False}, {"dropout": 0, "auxLogits": False}, (4, 91, 107)),
    ("swin_v2_t", "swin_v2_t", {}, {"stochasticDepthProb": 0}, (2, 64, 80)),
    ("maxvit_t", "maxvit_t", {}, {"stochasticDepthProb": 0}, (1, 224, 224)),
    (LARGE, "resnet18", {}, {}, (28, 64, 61)),
    # Larger variants.
    ("resnet101", "resnet101", {}, {}, (3, 40, 33)),
    ("vgg19_bn", "vgg19_bn", {}, {"dropout": 0}, (4, 40, 33)),
    ("mobilenet_v3_large", "mobilenet_v3_large", {}, {"dropout": 0}, (3, 48, 33)),
    ("efficientnet_b4", "efficientnet_b4", {}, {"dropout": 0, "stochasticDepthProb": 0}, (3, 48, 33)),
    ("efficientnet_v2_m", "efficientnet_v2_m", {}, {"dropout": 0, "stochasticDepthProb": 0}, (3, 48, 33)),
    ("regnet_x_3_2gf", "regnet_x_3_2gf", {}, {}, (3, 48, 33)),
    ("regnet_y_3_2gf", "regnet_y_3_2gf", {}, {}, (3, 48, 33)),
    ("mnasnet1_3", "mnasnet1_3", {}, {"dropout": 0}, (3, 48, 33)),
    ("shufflenet_v2_x2_0", "shufflenet_v2_x2_0", {}, {}, (3, 48, 33)),
    ("squeezenet1_0", "squeezenet1_0", {}, {"dropout": 0}, (4, 40, 33)),
    ("convnext_base", "convnext_base", {}, {"stochasticDepthProb": 0}, (2, 64, 48)),
    (
        "vit_l_16",
        "vit_l_16",
        {"image_size": 64, "num_layers": 24, "num_heads": 4, "hidden_dim": 128, "mlp_dim": 256},
        {"imageSize": 64, "numLayers": 24, "numHeads": 4, "hiddenDim": 128, "mlpDim": 256},
        (4, 64, 64),
    ),
    ("swin_b", "swin_b", {}, {"stochasticDepthProb": 0}, (2, 64, 80)),
    ("swin_v2_b", "swin_v2_b", {}, {"stochasticDepthProb": 0}, (2, 64, 80)),
)


def create(architecture, arguments):
    if architecture.startswith("vit"):
        return VisionTransformer(patch_size=16, num_classes=10, **arguments)
    return get_model(architecture, num_classes=10, **arguments)


def loss_of(model, images, labels):
    """Includes the losses of GoogLeNet's auxiliary heads, weighted as in its paper."""
    outputs = model(images)
    if isinstance(outputs, torch.Tensor):
        return F.cross_entropy(outputs, labels)
    logits, *auxiliary = outputs
    return F.cross_entropy(logits, labels) + 0.3 * sum(F.cross_entropy(each, labels) for each in auxiliary)


def step(model, images, labels):
    """Returns the loss and the gradient of each parameter. Batch norms keep their statistics."""
    settled = copy.deepcopy(model.state_dict())
    model.zero_grad()
    loss = loss_of(model, images, labels)
    loss.backward()
    model.load_state_dict(settled)
    return loss.item(), [parameter.grad for parameter in model.parameters()]


def is_close(single, gradient):
    """Returns whether float32 is so close to float64 that both are on the same side of every kink."""
    return (single - gradient).abs().max() <= max(1e-3 * gradient.abs().max(), 1e-5)


def make_case(case):
    name, architecture, arguments, options, shape = case
    torch.manual_seed(0)
    model = create(architecture, arguments)
    size = arguments.get("image_size", 224 if architecture == "maxvit_t" else 128)
    settle(model, torch.randn(8, 3, size, size), branch_weight=0.2 if architecture.startswith(DEEP) else 1)
    for key, parameter in model.named_parameters():
        if key.endswith("bn3.weight"):  # with so many blocks of equal weight, rounding errors would grow a thousandfold
            parameter.data *= 0.1
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout | StochasticDepth):
            module.p = 0
    settled = copy.deepcopy(model.state_dict())
    labels = torch.arange(shape[0]) % 10
    generator = torch.Generator().manual_seed(SEEDS[name]) if name in SEEDS else None
    for _ in range(100):
        images = torch.randn(shape[0], 3, *shape[1:], generator=generator)
        model.load_state_dict(settled)
        keep_off_kinks(model.double(), images.double())
        model.float().double()  # as in the file
        if name != LARGE and not is_clear(model, images.double()):
            continue
        loss, gradients = step(model, images.double(), labels)
        single_loss, single = step(model.float(), images, labels)
        if name == LARGE or all(map(is_close, single, gradients)):
            break
    else:
        sys.exit(f"{name}: a value of each of 100 draws is near a kink; the margins are too wide for this network")
    save_at_odd_addresses(model.state_dict(), folder / f"{name}.pth")
    images.numpy().tofile(folder / f"{name}.images.f32")
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rounded_loss = loss_of(model, images, labels)
    rounded_loss.backward()
    parameters = dict(model.named_parameters())
    rounded = [parameter.grad for parameter in parameters.values()]
    torch.cat([gradient.flatten() for gradient in gradients]).float().numpy().tofile(folder / f"{name}.gradients.f32")
    return {
        "name": name,
        "architecture": architecture,
        "options": options,
        "shape": shape,
        "loss": loss,
        "parameters": [[key, parameter.numel()] for key, parameter in parameters.items()],
        "float32Loss": abs(single_loss - loss),
        "float32": [(a - b).abs().max().item() for a, b in zip(single, gradients, strict=True)],
        "bfloat16": [((a - b).norm() / b.norm()).item() for a, b in zip(rounded, gradients, strict=True)],
        "bfloat16All": (norm_of([a - b for a, b in zip(rounded, gradients, strict=True)]) / norm_of(gradients)).item(),
    }


# One process for each core, because each computes on one thread.
with ProcessPoolExecutor(os.cpu_count()) as pool:
    print(json.dumps(list(pool.map(make_case, [case for case in CASES if case[0] in names]))))
