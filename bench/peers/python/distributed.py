"""Rank 0 of two processes with DistributedDataParallel on Gloo, which answers, and starts rank 1: see
peers/visiontorch/distributed.ts."""

import os
import subprocess
import sys
import tempfile

rank = int(os.environ.get("RANK", 0))
if rank == 0:
    os.environ["BENCH_STORE"] = os.path.join(tempfile.mkdtemp(), "store")
    other = subprocess.Popen(
        [sys.executable, *sys.argv], env={**os.environ, "RANK": "1"}, stdin=subprocess.DEVNULL, stdout=2
    )
os.environ["GLOO_SOCKET_IFNAME"] = "lo"

import torch.distributed as dist  # noqa: E402
from common import job, load, memory_format, noise, serve, torch, trainer  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

dist.init_process_group("gloo", init_method=f"file://{os.environ['BENCH_STORE']}", rank=rank, world_size=2)
model = load()[0].to(memory_format=memory_format())
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0
images = noise(job["batch"]).contiguous(memory_format=memory_format())
labels = torch.arange(job["batch"])

if job["task"] == "exchange":
    count, bucket = sum(p.numel() for p in model.parameters()), 25 * 2**20 // 4
    buckets = [torch.ones(min(bucket, count - start)) for start in range(0, count, bucket)]

    def work():
        for sum_ in [dist.all_reduce(values, async_op=True) for values in buckets]:
            sum_.wait()
        return []
else:
    step = trainer(DistributedDataParallel(model))

    def work():
        return [step(images, labels)]


def go_on(value):
    more = torch.tensor([value])
    dist.broadcast(more, 0)
    return more.item()


if rank == 1:
    while go_on(True):
        work()
else:

    def together():
        go_on(True)
        return work()

    serve(together)
    go_on(False)
    other.wait()
dist.destroy_process_group()
