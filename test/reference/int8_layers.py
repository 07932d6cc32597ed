"""int8_layers.py NAME OPTIONS SIZE FOLDER: what quantised layers compute, by torch and by ONNX Runtime.

OPTIONS are those of torchvision's constructor, in JSON. The folder has the network in float32 (float.pth) and with all layers quantised by `minmax` (int8.pth, int8.onnx), and
float32 images of SIZE x SIZE pixels: those it was calibrated with (calibration.f32) and others (images.f32).

Prints {"scales": {LAYER: [scale, zero point]}, "weights": ..., "blocks": {BLOCK: {...}}}:
- scales: of the layer's input, by torch's MinMaxObserver.
- weights: the layers whose integers in int8.pth are not those of torch.quantize_per_channel.
- blocks: for each block, the mean over a few pixels of what ONNX Runtime computes as the block's output; how many
  quantised layers came before; and the step of the bytes to which the next layer rounds it. The file BLOCK.pth holds
  the network with all later blocks replaced by float32 ones that only select those pixels, so that its features are the
  same means.
"""

import copy
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime
import torch
from stubs import torchvision_models

torch.set_num_threads(1)
name, options, size, folder = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
network = torchvision_models().get_model(name, **options).eval()
network.load_state_dict(torch.load(folder / "float.pth", weights_only=True)["state_dict"])
quantized = torch.load(folder / "int8.pth", weights_only=True)
norms = {}  # the batch norm after each convolution
last = None
for of, module in network.named_modules():
    if isinstance(module, torch.nn.Conv2d):
        last = of
    elif isinstance(module, torch.nn.BatchNorm2d):
        norms[last] = of


def images(file):
    return torch.from_numpy(numpy.fromfile(folder / file, numpy.float32)).view(-1, 3, size, size)


def scales():
    observers, hooks = {}, []
    for layer, module in network.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            observers[layer] = torch.ao.quantization.MinMaxObserver(dtype=torch.quint8)
            hooks.append(module.register_forward_pre_hook(lambda _, x, layer=layer: (observers[layer](x[0]),)))
    with torch.no_grad():
        network(images("calibration.f32"))
    for hook in hooks:
        hook.remove()
    parameters = {layer: observer.calculate_qparams() for layer, observer in observers.items()}
    return {layer: [scale.item(), zero.item()] for layer, (scale, zero) in parameters.items()}


def wrong_weights():
    wrong = []
    for layer, module in network.named_modules():
        if not isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            continue
        weight = module.weight.detach().double()
        if layer in norms:
            norm = network.get_submodule(norms[layer])
            factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = weight * factor.view(-1, 1, 1, 1)
        scale = weight.float().flatten(1).abs().amax(1) / 127
        integers = torch.quantize_per_channel(weight.float(), scale, torch.zeros(len(scale)), 0, torch.qint8)
        same_scale = torch.equal(quantized["quantization"][layer + ".weight_scale"], scale)
        # Division and multiplication by the reciprocal may round differently.
        distance = integers.int_repr().int() - quantized["state_dict"][layer + ".weight"].int()
        if not same_scale or distance.abs().max() > 1 or (distance != 0).float().mean() > 1e-4:
            wrong.append(layer)
    return wrong


class Replacement:
    """A copy of the quantised network, in which layers become float32 ones."""

    def __init__(self):
        self.file = copy.deepcopy(quantized)

    def set(self, layer, weight):
        weights, scales = self.file["state_dict"], self.file["quantization"]
        weights[layer + ".weight"] = weight
        weights[norms[layer] + ".bias"] = torch.zeros(len(weight))
        for part in ("weight_scale", "input_scale", "input_zero_point"):
            del scales[f"{layer}.{part}"]

    def shape(self, layer):
        return network.get_submodule(layer).weight.shape


def identity(shape, channels, sign=1):
    """Passes the middle pixel of these channels on."""
    weight = torch.zeros(shape)
    for channel in range(channels):
        weight[channel, channel, shape[2] // 2, shape[3] // 2] = sign
    return weight


# Every layer of MobileNetV2 clamps at 0 and 6 or adds, so numbers go through it in two parts, small enough.
SHRINK = 2.0**-6


def pass_resnet(copied, block):
    for layer in (".conv1", ".conv2"):
        copied.set(block + layer, torch.zeros(copied.shape(block + layer)))
    if block + ".downsample.0" in norms:
        shape = copied.shape(block + ".downsample.0")
        copied.set(block + ".downsample.0", identity(shape, shape[1]))


def split(shape, channels):
    weight = torch.zeros(shape)
    for channel in range(channels):
        weight[channel, channel] = SHRINK
        weight[channels + channel, channel] = -SHRINK
    return weight


def pass_last(copied, layer):
    shape = copied.shape(layer)
    copied.set(layer, split(shape, shape[1]))


def pass_mobilenet(copied, block):
    expand, depthwise, project = (block + part for part in (".conv.0.0", ".conv.1.0", ".conv.2"))
    channels = copied.shape(expand)[1]
    residual = network.get_submodule(block).use_res_connect
    copied.set(expand, split(copied.shape(expand), channels))
    middle = torch.zeros(copied.shape(depthwise))
    middle[:, 0, 1, 1] = 1
    copied.set(depthwise, middle)
    joined = torch.zeros(copied.shape(project))
    for channel in range(0 if residual else channels):
        joined[channel, channel] = 1 / SHRINK
        joined[channel, channels + channel] = -1 / SHRINK
    copied.set(project, joined)


def blocks():
    is_resnet = name == "resnet18"
    if is_resnet:
        names = [f"layer{i}.{j}" for i in range(1, 5) for j in range(2)]
        outputs = [block + "/Relu" for block in names]
    else:
        names = [f"features.{i}" for i in range(1, len(network.features) - 1)]
        last = f"features.{len(names) + 1}.0"
        residual = [network.get_submodule(block).use_res_connect for block in names]
        outputs = [f"{block}/Add" if adds else None for block, adds in zip(names, residual)]
    model = onnx.load(folder / "int8.onnx")
    produced = {output for node in model.graph.node for output in node.output}
    for i, output in enumerate(outputs):
        if output is None:
            prefix = names[i] + (".conv.1/Conv" if i == 0 else ".conv.2/Conv")
            outputs[i] = prefix
        assert outputs[i] in produced, outputs[i]
        model.graph.output.append(onnx.helper.make_tensor_value_info(outputs[i], onnx.TensorProto.FLOAT, None))
    # Without optimisations it rounds and multiplies as the operators' documentation says. Some of its kernels for
    # processors without VNNI saturate.
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])
    computed = session.run(outputs, {"pixel_values": images("images.f32").numpy()})

    result = {}
    for i, (block, value) in enumerate(zip(names, computed)):
        copied = Replacement()
        for later in names[i + 1 :]:
            (pass_resnet if is_resnet else pass_mobilenet)(copied, later)
        if not is_resnet:
            pass_last(copied, last)
        torch.save(copied.file, folder / f"{block}.pth")
        stride = value.shape[2] // computed[-1].shape[2]
        layers = [layer[: -len(".input_scale")] for layer in copied.file["quantization"] if layer.endswith(".input_scale")]
        following = next((layer for layer in norms if i + 1 < len(names) and layer.startswith(names[i + 1] + ".")), "")
        step = quantized["quantization"].get(following + ".input_scale", torch.tensor(numpy.ptp(value) / 255))
        result[block] = {
            "values": value[:, :, ::stride, ::stride].mean((2, 3)).tolist(),
            "step": step.item(),
            "layers": len(layers) - 1,  # but for the classifier
        }
    # For MobileNetV2, a mean is (feature - feature of the second part) / shrink.
    return {"shrink": SHRINK, "second": 0 if is_resnet else copied.shape(last)[1], "blocks": result}


print(json.dumps({"scales": scales(), "weights": wrong_weights(), **blocks()}))
