"""Measures the first and the second epoch, in ms, on a folder of photographs."""

import time

from common import answer, job, memory_format, network, peak, to_input, torch, trainer
from torch.utils.data import DataLoader


def main():
    step = trainer(network(num_classes=10).to(memory_format=memory_format()))
    from torchvision import transforms as T
    from torchvision.datasets import ImageFolder

    transform = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(), *to_input()])
    workers = int(job["setup"])
    loader = DataLoader(
        ImageFolder(f"{job['data']}/train", transform),
        batch_size=job["batch"],
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    times = []
    for _ in range(2):
        start = time.perf_counter()
        for images, labels in loader:
            step(images.contiguous(memory_format=memory_format()), labels)
        times.append((time.perf_counter() - start) * 1000)
    answer({"times": times, "peak": peak()})


if __name__ == "__main__":
    main()
