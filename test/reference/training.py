"""Writes test/fixtures/training.json: ten steps of PyTorch on a small MobileNetV2, by case: losses, gradient norms and
samples of the resulting state dict (every 37th value of each tensor), and the losses of other families' networks, for
test/parity/training.test.ts.

    python test/reference/training.py
"""
import json
import pathlib

import torch

from stubs import torchvision_models

models = torchvision_models()
torch.set_num_threads(1)

NETWORK = {"num_classes": 4, "inverted_residual_setting": [[1, 8, 1, 1], [4, 8, 2, 2]], "dropout": 0.2}
STEPS, BATCH, SIZE, STRIDE = 10, 8, 32, 37

SGD = {"name": "sgd", "momentum": 0.9, "dampening": 0, "nesterov": False, "weightDecay": 5e-4}
ADAM = {"name": "adam", "betas": [0.9, 0.999], "eps": 1e-4, "weightDecay": 0}

CASES = {
    "SGD": {"optimizer": SGD, "lr": 0.002},
    "SGD with nesterov momentum": {"optimizer": {**SGD, "nesterov": True}, "lr": 0.002},
    "SGD with dampening": {"optimizer": {**SGD, "dampening": 0.5}, "lr": 0.002},
    "SGD without momentum": {"optimizer": {**SGD, "momentum": 0}, "lr": 0.002},
    "SGD, frozen, batch norm left alone": {"optimizer": SGD, "lr": 0.002, "frozen": True},
    "SGD, frozen, batch norm updated": {"optimizer": SGD, "lr": 0.002, "frozen": True, "frozenBatchNormTrains": True},
    "SGD, frozen for five steps": {"optimizer": SGD, "lr": 0.002, "frozen": True, "unfreezeAt": 5},
    "Adam": {"optimizer": ADAM, "lr": 0.0001},
    "Adam with weight decay": {"optimizer": {**ADAM, "weightDecay": 0.01}, "lr": 0.0001},
    "AdamW": {"optimizer": {**ADAM, "name": "adamw", "weightDecay": 0.05}, "lr": 0.0001},
    "Adam, frozen, batch norm left alone": {"optimizer": ADAM, "lr": 0.0001, "frozen": True},
    "label smoothing": {"optimizer": SGD, "lr": 0.002, "labelSmoothing": 0.1},
    "class weights and label smoothing": {
        "optimizer": SGD, "lr": 0.002, "labelSmoothing": 0.1, "classWeights": [0.5, 1, 2, 4],
    },
    "clipped gradients": {"optimizer": SGD, "lr": 0.002, "clipGradNorm": 0.5},
    "accumulation over two micro-batches": {"optimizer": SGD, "lr": 0.002, "accumulate": 2},
    "an exponential moving average": {"optimizer": SGD, "lr": 0.002, "ema": 0.8},
    "mixed labels": {"optimizer": SGD, "lr": 0.002, "mixed": 0.3},
    # Strong enough to exceed the weights' tolerance if it were missing.
    "SGD with strong weight decay": {"optimizer": {**SGD, "weightDecay": 0.5}, "lr": 0.002},
    "Adam with strong weight decay": {"optimizer": {**ADAM, "weightDecay": 5}, "lr": 0.0001},
    "AdamW with strong weight decay": {"optimizer": {**ADAM, "name": "adamw", "weightDecay": 5}, "lr": 0.0001},
    "other weight decays of norms and biases": {
        "optimizer": {**SGD, "weightDecay": 0.5}, "lr": 0.002, "normWeightDecay": 0, "biasWeightDecay": 2,
    },
    "layer decay": {"optimizer": SGD, "lr": 0.002, "layerDecay": 0.5},
    "the first two stages frozen": {"optimizer": SGD, "lr": 0.002, "freeze": 2},
    "the layers of a prefix frozen": {"optimizer": SGD, "lr": 0.002, "freeze": "features.1."},
}


# Networks of other families, as torchvision creates them, but a smaller ViT. (architecture, arguments, our options, SGD's learning
# rate). From random weights, EfficientNet magnifies rounding so much that PyTorch's own losses differ at larger rates.
NETWORKS = (
    ("mobilenet_v3_large", {}, {}, 0.002),
    ("efficientnet_b0", {}, {}, 0.00001),
    ("convnext_tiny", {}, {}, 0.002),
    (
        "vit_b_16",
        {"image_size": 64, "patch_size": 16, "num_layers": 3, "num_heads": 3, "hidden_dim": 96, "mlp_dim": 200},
        {"imageSize": 64, "numLayers": 3, "numHeads": 3, "hiddenDim": 96, "mlpDim": 200},
        0.002,
    ),
    ("swin_t", {}, {}, 0.002),
)
NETWORK_BATCH, NETWORK_SIZE = 4, 64


def noise(i):
    """Returns a pseudo-random value in [-2, 2), by integer arithmetic that JavaScript repeats exactly."""
    h = (i * 2654435761) & 0xFFFFFFFF
    h ^= h >> 15
    h = (h * 2246822519) & 0xFFFFFFFF
    h ^= h >> 13
    return (h & 0xFFFF) / 16384 - 2


def batch(step, count=BATCH, size=SIZE):
    n = count * 3 * size * size
    values = [noise(i + step * n) for i in range(n)]
    labels = [(i * 7 + step) % 4 for i in range(count)]
    return torch.tensor(values, dtype=torch.float32).reshape(count, 3, size, size), torch.tensor(labels)


def sample(model):
    return {
        name: [float(v) for v in tensor.detach().contiguous().flatten()[::STRIDE]]
        for name, tensor in model.state_dict().items()
    }


def make_optimizer(o, parameters, lr):
    if o["name"] == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=o["momentum"], dampening=o["dampening"],
                               nesterov=o["nesterov"], weight_decay=o["weightDecay"])
    kind = torch.optim.AdamW if o["name"] == "adamw" else torch.optim.Adam
    return kind(parameters, lr=lr, betas=o["betas"], eps=o["eps"], weight_decay=o["weightDecay"])


def groups(model, case):
    """Groups the parameters by weight decay and learning rate, as torchvision's references do, with the rows of `features` as stages."""
    norms = (torch.nn.BatchNorm2d,)
    result = {}
    for prefix, module in model.named_modules():
        stage = int(prefix.split(".")[1]) if prefix.startswith("features.") else len(model.features)
        for name, parameter in module.named_parameters(recurse=False):
            decay = case["optimizer"]["weightDecay"]
            if name == "bias" and "biasWeightDecay" in case:
                decay = case["biasWeightDecay"]
            elif isinstance(module, norms) and "normWeightDecay" in case:
                decay = case["normWeightDecay"]
            lr = case["lr"] * case.get("layerDecay", 1) ** (len(model.features) - stage)
            result.setdefault((decay, lr), []).append(parameter)
    return [{"params": parameters, "weight_decay": decay, "lr": lr} for (decay, lr), parameters in result.items()]


def never_trained(model, case):
    """Returns the modules that the case freezes in all steps."""
    chosen = case.get("freeze", 0)
    if isinstance(chosen, str):
        return [module for name, module in model.named_modules() if f"{name}.".startswith(chosen)]
    return list(model.features[:chosen])


def freeze(model, case, frozen):
    model.train()
    for parameter in model.features.parameters():
        parameter.requires_grad_(not frozen)
    if frozen and not case.get("frozenBatchNormTrains"):
        model.features.eval()
    for module in never_trained(model, case):
        module.requires_grad_(False).eval()


def run(case):
    torch.manual_seed(11)
    model = models.mobilenet_v2(**NETWORK)
    optimizer = make_optimizer(case["optimizer"], groups(model, case), case["lr"])
    weights = case.get("classWeights")
    criterion = torch.nn.CrossEntropyLoss(weight=torch.tensor(weights) if weights else None,
                                          label_smoothing=case.get("labelSmoothing", 0))
    average = None
    if "ema" in case:
        average = torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(case["ema"]), use_buffers=True)
    freeze(model, case, case.get("frozen", False))
    accumulate = case.get("accumulate", 1)
    losses, norms = [], []
    for step in range(STEPS):
        if step == case.get("unfreezeAt"):
            freeze(model, case, False)
        x, y = batch(step)
        torch.manual_seed(100 + step)  # dropout
        logits = model(x)
        loss = criterion(logits, y)
        if "mixed" in case:
            w = case["mixed"]
            loss = loss * w + criterion(logits, y.roll(1)) * (1 - w)
        losses.append(loss.item())
        (loss / accumulate).backward()
        if (step + 1) % accumulate:
            continue
        if "clipGradNorm" in case:
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), case["clipGradNorm"]).item())
        optimizer.step()
        optimizer.zero_grad()
        if average:
            average.update_parameters(model)
    result = {"case": case, "losses": losses, "gradNorms": norms, "weights": sample(model)}
    if average:
        result["average"] = sample(average.module)
    return result


def losses_of(architecture, arguments, case):
    """Returns the losses of a network with its dropout and stochastic depth."""
    torch.manual_seed(11)
    if architecture == "vit_b_16":
        model = models.VisionTransformer(num_classes=4, **arguments)
    else:
        model = models.get_model(architecture, num_classes=4, **arguments)
    optimizer = make_optimizer(case["optimizer"], model.parameters(), case["lr"])
    losses = []
    for step in range(STEPS):
        x, y = batch(step, NETWORK_BATCH, NETWORK_SIZE)
        torch.manual_seed(100 + step)  # dropout
        loss = torch.nn.functional.cross_entropy(model(x), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def main():
    fixture = {
        "torch": torch.__version__,
        "steps": STEPS, "batch": BATCH, "size": SIZE, "stride": STRIDE,
        "options": {"invertedResidualSetting": NETWORK["inverted_residual_setting"], "dropout": NETWORK["dropout"]},
        "cases": {name: run(case) for name, case in CASES.items()},
        "networks": {
            "batch": NETWORK_BATCH, "size": NETWORK_SIZE,
            "runs": [
                {"architecture": architecture, "options": options, "case": case,
                 "losses": losses_of(architecture, arguments, case)}
                for architecture, arguments, options, lr in NETWORKS
                for case in ({**CASES["SGD"], "lr": lr}, CASES["AdamW"])
            ],
        },
    }
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "training.json"
    path.write_text(json.dumps(fixture, separators=(",", ":")).replace('"losses"', '\n"losses"') + "\n")


if __name__ == "__main__":
    main()
