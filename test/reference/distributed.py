"""Writes test/fixtures/distributed.json: ten steps of PyTorch's DistributedDataParallel (Gloo) on two processes, each with
its own images: the losses of each rank, and samples of rank 0's state dict (as training.py takes them), for
test/parity/distributed.test.ts.

    python test/reference/distributed.py
"""
import json
import os
import pathlib
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from training import BATCH, NETWORK, SGD, SIZE, STEPS, STRIDE, batch, make_optimizer, models, sample

RANKS, LEARNING_RATE = 2, 0.002


def run(rank, store, results):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    torch.manual_seed(11)
    model = models.mobilenet_v2(**NETWORK)
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        results = os.path.join(folder, "results")
        mp.spawn(run, args=(os.path.join(folder, "store"), results), nprocs=RANKS)
        found = json.loads(pathlib.Path(results).read_text())
    fixture = {
        "torch": torch.__version__,
        "ranks": RANKS, "steps": STEPS, "batch": BATCH, "size": SIZE, "stride": STRIDE,
        "learningRate": LEARNING_RATE,
        "optimizer": SGD,
        "options": {"invertedResidualSetting": NETWORK["inverted_residual_setting"], "dropout": NETWORK["dropout"]},
        **found,
    }
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "distributed.json"
    path.write_text(json.dumps(fixture, separators=(",", ":")).replace('"weights"', '\n"weights"') + "\n")
