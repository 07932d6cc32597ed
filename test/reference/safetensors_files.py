"""Reads and writes files with Python's safetensors.

safetensors_files.py read PATH     prints the SHA-256 of every tensor, and the metadata
safetensors_files.py write PATH    writes one tensor of each type, and prints the same
"""

import hashlib
import json
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

TYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex64 float8_e5m2 float8_e4m3fn"
).split()

command, path = sys.argv[1:]
if command == "write":
    torch.manual_seed(0)
    tensors = {}
    for name in TYPES:
        dtype = getattr(torch, name)
        data = torch.randint(0, 2, (2, 3 * dtype.itemsize), dtype=torch.uint8)
        tensors[name] = data.view(dtype)
    tensors["scalar"] = torch.tensor(1.5)
    tensors["empty"] = torch.empty(0, 4)
    save_file(tensors, path, metadata={"format": "pt", "Straße \"\\\n": "猫 \x01"})

result = {}
with safe_open(path, "pt") as file:
    for name in file.keys():
        value = file.get_tensor(name)
        data = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        dtype = str(value.dtype).removeprefix("torch.")
        result[name] = {"dtype": dtype, "shape": list(value.shape), "sha256": hashlib.sha256(data).hexdigest()}
    print(json.dumps({"tensors": result, "metadata": file.metadata()}))
