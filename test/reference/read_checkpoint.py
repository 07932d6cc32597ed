"""Prints the result of torch.load(path, weights_only=True) as JSON that keeps Python's types: [type, value]."""

import hashlib
import json
import sys

import torch


def describe(value):
    kind = type(value).__name__
    if isinstance(value, torch.Tensor):
        data = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        dtype = str(value.dtype).removeprefix("torch.")
        return [kind, [dtype, list(value.shape), hashlib.sha256(data).hexdigest(), value.requires_grad]]
    if isinstance(value, dict):
        return [kind, [[describe(key), describe(item)] for key, item in value.items()]]
    if isinstance(value, (list, tuple)):
        return [kind, [describe(item) for item in value]]
    return [kind, str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value]


print(json.dumps(describe(torch.load(sys.argv[1], weights_only=True))))
