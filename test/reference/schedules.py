"""Writes test/fixtures/schedules.json: the learning rate of every update of whole runs.

`torch`: torch.optim.lr_scheduler, stepped in every update, with a warm-up by LinearLR and SequentialLR as in torchvision's
references/classification/train.py. `seed`: the formulas of bubbliiiing/classification-pytorch (utils/utils_fit.py and
nets/classifier_training.py in its last version), one value per epoch.
"""

import json
import math
import pathlib

import torch
from torch.optim import lr_scheduler as schedulers

STEPS = 7  # updates per epoch


def run(name: str, epochs: int, lr: float, warmup: int, low: float = 0.0, **extra: float) -> dict:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    total, warm = epochs * STEPS, warmup * STEPS
    if name == "cosine":
        main = schedulers.CosineAnnealingLR(optimizer, T_max=total - warm, eta_min=low)
    elif name == "step":
        main = schedulers.StepLR(optimizer, step_size=extra["stepSize"] * STEPS, gamma=extra["gamma"])
    elif name == "exponential":
        main = schedulers.ExponentialLR(optimizer, gamma=extra["gamma"] ** (1 / STEPS))
    else:
        main = schedulers.LambdaLR(optimizer, lambda _: 1.0)
    if warm:
        first = schedulers.LinearLR(optimizer, start_factor=0.01, total_iters=warm)
        main = schedulers.SequentialLR(optimizer, [first, main], milestones=[warm])
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        main.step()
    return {
        "schedule": {"name": name, **extra},
        "epochs": epochs,
        "learningRate": lr,
        "minLearningRate": low,
        "warmupEpochs": warmup,
        "rates": rates,
    }


def seed_scheduler(kind: str, lr: float, min_lr: float, total: int):
    if kind == "cos":
        warmup_total = min(max(0.05 * total, 1), 3)
        warmup_start = max(0.1 * lr, 1e-6)
        no_aug = min(max(0.05 * total, 1), 15)

        def rate(i: int) -> float:
            if i <= warmup_total:
                return (lr - warmup_start) * pow(i / float(warmup_total), 2) + warmup_start
            if i >= total - no_aug:
                return min_lr
            return min_lr + 0.5 * (lr - min_lr) * (
                1.0 + math.cos(math.pi * (i - warmup_total) / (total - warmup_total - no_aug))
            )

        return rate
    decay = (min_lr / lr) ** (1 / (10 - 1))
    size = total / 10
    return lambda i: lr * decay ** (i // size)


def seed_run(kind: str, optimizer: str, init_lr: float, epochs: int, freeze: int, freeze_batch: int, batch: int) -> dict:
    limit_max = 1e-1 if optimizer == "sgd" else 1e-3
    limit_min = 5e-4 if optimizer == "sgd" else 1e-4
    min_lr = init_lr * 0.01
    rates = []
    for epoch in range(epochs):
        size = freeze_batch if epoch < freeze else batch
        fit = min(max(size / 64 * init_lr, limit_min), limit_max)
        min_fit = min(max(size / 64 * min_lr, limit_min * 1e-2), limit_max * 1e-2)
        rates.append(seed_scheduler(kind, fit, min_fit, epochs)(epoch))
    return {
        "schedule": "step" if kind == "step" else "cosine",
        "optimizer": optimizer,
        "learningRate": init_lr,
        "epochs": epochs,
        "freezeEpochs": freeze,
        "freezeBatchSize": freeze_batch,
        "batchSize": batch,
        "rates": rates,
    }


content = {
    "made_by": f"PyTorch {torch.__version__}",
    "stepsPerEpoch": STEPS,
    "torch": [
        run("cosine", 6, 0.1, 0),
        run("cosine", 6, 0.05, 2, low=1e-4),
        run("step", 8, 0.1, 0, stepSize=3, gamma=0.1),
        run("step", 8, 0.1, 1, stepSize=2, gamma=0.5),
        run("exponential", 5, 0.01, 0, gamma=0.9),
        run("exponential", 5, 0.01, 1, gamma=0.8),
        run("constant", 3, 0.01, 1),
    ],
    "seed": [
        seed_run("cos", "sgd", 1e-2, 200, 50, 32, 32),
        seed_run("cos", "sgd", 1e-2, 100, 50, 64, 16),
        seed_run("step", "sgd", 1e-2, 200, 50, 32, 32),
        seed_run("cos", "adam", 1e-3, 30, 10, 32, 8),
        seed_run("step", "adam", 1e-2, 15, 5, 128, 64),
    ],
}
path = pathlib.Path(__file__).parent.parent / "fixtures" / "schedules.json"
path.write_text(json.dumps(content) + "\n")
