"""Continues the training of a last.pth in PyTorch, for test/parity/resume-python.test.ts.

    python continue_training.py LAST.pth sgd|adam BATCHES OUT.pth

BATCHES holds two batches of images as float32. Takes one step on the first, saves OUT.pth in the layout of torchvision's
references/classification/train.py, takes a step on the second, and prints the losses, the learning rate, and the sum and
the sum of squares of each resulting tensor.
"""
import json
import sys

import numpy as np
import torch

from stubs import torchvision_models

last, kind, batches, out = sys.argv[1:]
checkpoint = torch.load(last, weights_only=True)
options = checkpoint["options"]
model = torchvision_models().mobilenet_v2(
    num_classes=len(checkpoint["classes"]),
    inverted_residual_setting=options["invertedResidualSetting"],
    dropout=options["dropout"],
)
model.load_state_dict(checkpoint["state_dict"], strict=True)
# The values given here are replaced by those of the checkpoint.
optimizer = (torch.optim.SGD if kind == "sgd" else torch.optim.Adam)(model.parameters(), lr=99)
optimizer.load_state_dict(checkpoint["optimizer"])
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
rate = checkpoint["optimizer"]["param_groups"][0]["lr"]
for group in optimizer.param_groups:
    group["lr"] = rate  # which the scheduler overwrote

images = torch.from_numpy(np.fromfile(batches, dtype=np.float32)).reshape(2, -1, 3, 32, 32)
model.train()
losses = []
for step, x in enumerate(images):
    y = torch.arange(len(x)) % 3
    loss = torch.nn.functional.cross_entropy(model(x), y)
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 0:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                 "lr_scheduler": scheduler.state_dict(), "epoch": 7}
        torch.save(state, out)
sums = {name: [t.double().sum().item(), t.double().square().sum().item()] for name, t in model.state_dict().items()}
print(json.dumps({"losses": losses, "learningRate": rate, "sums": sums}))
