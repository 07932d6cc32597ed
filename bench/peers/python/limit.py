"""Measures how fast this machine can compute at best: convolutions and matrix products of favorable shapes, in GFLOP/s."""

import time

from common import answer, job, requests, torch

dtype = getattr(torch, job["dtype"])


def convolution(batch, inputs, outputs, kernel, size):
    images = torch.randn(batch, inputs, size, size, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs, kernel, kernel, dtype=dtype).contiguous(memory_format=torch.channels_last)
    geometry = ([kernel // 2] * 2, [1, 1], [1, 1], 1)
    packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *geometry, images.shape)
    run = lambda: torch.ops.mkldnn._convolution_pointwise(images, packed, None, *geometry, "none", [], "")  # noqa: E731
    return run, 2 * batch * size**2 * outputs * inputs * kernel**2


def product(size):
    a, b = (torch.randn(size, size, dtype=dtype) for _ in range(2))
    out = torch.empty(size, size, dtype=dtype)
    return lambda: torch.mm(a, b, out=out), 2 * size**3


def linear(size):
    inputs = torch.randn(size, size, dtype=dtype)
    weight = torch.ops.mkldnn._reorder_linear_weight(torch.randn(size, size, dtype=dtype), size)
    return lambda: torch.ops.mkldnn._linear_pointwise(inputs, weight, None, "none", [], ""), 2 * size**3


cases = {
    "convolution 3 x 3, 256 channels, 56 x 56": convolution(16, 256, 256, 3, 56),
    "convolution 3 x 3, 512 channels, 28 x 28": convolution(16, 512, 512, 3, 28),
    "convolution 1 x 1, 256 to 1024 channels, 28 x 28": convolution(16, 256, 1024, 1, 28),
    "oneDNN's matrix product, 2048": linear(2048),
    "MKL's matrix product, 2048": product(2048),
}
answer({})
with torch.inference_mode():
    for count in requests():
        times = {}
        for name, (run, _) in cases.items():
            run()
            times[name] = []
            for _ in range(count):
                begin = time.perf_counter()
                run()
                times[name].append((time.perf_counter() - begin) * 1000)
        answer({name: {"times": times[name], "gflop": flop / 1e9} for name, (_, flop) in cases.items()})
