"""Writes test/fixtures/distributed.json: ten steps of PyTorch's DistributedDataParallel (Gloo) on two processes, each with
its own images: the losses of each rank, and samples of rank 0's state dict (as training.py takes them), for
test/parity/distributed.test.ts. Once with each rank's own batch norms, and once with those of torch.nn.SyncBatchNorm.

    python test/reference/distributed.py
"""
import json
import os
import pathlib
import tempfile

import torch
import torch.distributed as dist
import torch.distributed.nn.functional
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from training import BATCH, NETWORK, SGD, SIZE, STEPS, STRIDE, batch, make_optimizer, models, sample

RANKS, LEARNING_RATE = 2, 0.002


class SyncBatchNorm(torch.nn.BatchNorm2d):
    """torch.nn.SyncBatchNorm, which refuses tensors on the CPU: its statistics, with autograd's derivative of them."""

    def forward(self, x):
        def over_all(values):
            return torch.distributed.nn.functional.all_reduce(values)

        wide = x.double()
        n = RANKS * x.numel() / x.shape[1]
        mean = over_all(wide.sum((0, 2, 3), keepdim=True)) / n
        variance = over_all(((wide - mean) ** 2).sum((0, 2, 3), keepdim=True)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.flatten().float(), self.momentum)
            self.running_var.lerp_((variance.flatten() * n / (n - 1)).float(), self.momentum)
        normal = ((wide - mean) / torch.sqrt(variance + self.eps)).float()
        return normal * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def network(synchronized):
    model = models.mobilenet_v2(**NETWORK)
    for module in model.modules():
        if synchronized and isinstance(module, torch.nn.BatchNorm2d):
            module.__class__ = SyncBatchNorm
    return model


def run(rank, store, results, synchronized):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    torch.manual_seed(11)
    model = network(synchronized)
    parallel = DistributedDataParallel(model)
    optimizer = make_optimizer(SGD, parallel.parameters(), LEARNING_RATE)
    criterion = torch.nn.CrossEntropyLoss()
    losses = []
    for step in range(STEPS):
        x, y = batch(RANKS * step + rank)
        torch.manual_seed(100 + RANKS * step + rank)  # dropout
        loss = criterion(parallel(x), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    everyone = [None] * RANKS
    dist.all_gather_object(everyone, losses)
    if rank == 0:
        pathlib.Path(results).write_text(json.dumps({"losses": everyone, "weights": sample(model)}))
    dist.destroy_process_group()


def play(synchronized):
    with tempfile.TemporaryDirectory() as folder:
        results = os.path.join(folder, "results")
        mp.spawn(run, args=(os.path.join(folder, "store"), results, synchronized), nprocs=RANKS)
        return json.loads(pathlib.Path(results).read_text())


if __name__ == "__main__":
    fixture = {
        "torch": torch.__version__,
        "ranks": RANKS, "steps": STEPS, "batch": BATCH, "size": SIZE, "stride": STRIDE,
        "learningRate": LEARNING_RATE,
        "optimizer": SGD,
        "options": {"invertedResidualSetting": NETWORK["inverted_residual_setting"], "dropout": NETWORK["dropout"]},
        "own": play(False),
        "synchronized": play(True),
    }
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "distributed.json"
    text = json.dumps(fixture, separators=(",", ":"))
    path.write_text(text.replace('"weights"', '\n"weights"').replace('"synchronized"', '\n"synchronized"') + "\n")
