"""Writes test/fixtures/checkpoints/: small .pth files of every container, and what torch reads from each.

checkpoints.json: for each file its container and its tensors by nested path (keys joined by '/'): dtype, shape and the
SHA-256 of the contiguous little-endian bytes; or `unsupported`, for files that the reader refuses by design.
"""

import collections
import hashlib
import io
import json
import pathlib
import pickle
import struct
import tarfile
import warnings

import torch

warnings.filterwarnings("ignore")
OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "checkpoints"
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
DTYPES += [torch.int8, torch.uint8, torch.bool]


def dtypes():
    values = torch.tensor([[0.0, 1.0, 2.5], [-3.0, 100.0, 0.25]])
    values[1, 0] = 3.0  # uint8 has no negative numbers
    return {str(dtype).removeprefix("torch."): values.to(dtype) for dtype in DTYPES}


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "base": base,
        "transposed": base.t(),
        "window": base[1:3, 2:5],
        "strided": base[::2, ::3],
        "expanded": torch.tensor([7.0]).expand(3, 4),
        "channels_last": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(42),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, 2.0])),
    }


def training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, 1, 3, 3)).sum().backward()
    optimizer.step()
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": 91.78,
        "classes": ["cat", "dog", "é"],
        "betas": (0.9, 0.999),
        "nothing": None,
        "flag": True,
        "big": 2**70,
        "negative": -(2**40),
        "bytes": b"\x00\xff\x7f",
        "set": {1},
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "__proto__": "a name like any other",
    }


def write_tar(path):
    """The layout of torch 0.1 (torch/serialization.py of torch 2 still has its reader, legacy_load)."""
    weight = torch.arange(6, dtype=torch.float32)
    bias = weight[2:5]
    dump = lambda value: pickle.dumps(value, 2)
    storages = dump(2) + dump((10, "cpu", torch.FloatStorage)) + struct.pack("<q", 6) + weight.numpy().tobytes()
    counts = torch.tensor([5, 6], dtype=torch.int64)
    storages += dump((11, "cpu", torch.LongStorage)) + struct.pack("<q", 2) + counts.numpy().tobytes()
    storages += dump([(12, 10, 2, 3)])

    def tensor(key, storage, kind, sizes, strides, offset):
        n = len(sizes)
        numbers = struct.pack(f"<i4x{n}q{n}qq", n, *sizes, *strides, offset)
        return dump((key, storage, kind)) + numbers

    tensors = dump(3) + tensor(20, 10, torch.FloatTensor, [3, 2], [1, 3], 0)
    tensors += tensor(21, 12, torch.FloatTensor, [3], [1], 0) + tensor(22, 11, torch.LongTensor, [2], [1], 0)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return str(value.key) if isinstance(value, Reference) else None

    class Reference:
        def __init__(self, key):
            self.key = key

    stream = io.BytesIO()
    names = [("weight", 20), ("bias", 21), ("counts", 22)]
    Pickler(stream, 2).dump(collections.OrderedDict((name, Reference(key)) for name, key in names))
    info = {"protocol_version": 1000, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    members = [("sys_info", dump(info)), ("pickle", stream.getvalue()), ("tensors", tensors), ("storages", storages)]
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mtime = 1500000000.5  # a fraction, so that there are PAX headers, as Python 3 wrote them
            tar.addfile(member, io.BytesIO(data))


def walk(value, path=""):
    if isinstance(value, torch.Tensor):
        data = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        yield path, {
            "dtype": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        yield from walk(item, f"{path}/{key}" if path else str(key))


OUT.mkdir(parents=True, exist_ok=True)
expected = {}


def read(name, container, weights_only=True):
    value = torch.load(OUT / name, weights_only=weights_only)
    expected[name] = {"container": container, "tensors": dict(walk(value))}


for name, content in (("dtypes", dtypes()), ("views", views()), ("training", training())):
    torch.save(content, OUT / f"{name}_zip.pth")
    read(f"{name}_zip.pth", "zip")
    torch.save(content, OUT / f"{name}_legacy.pth", _use_new_zipfile_serialization=False)
    read(f"{name}_legacy.pth", "legacy")
for protocol in (1, 3, 4):
    # Views only: bytes of protocol 3 have an opcode that no state dict needs.
    torch.save(views(), OUT / f"protocol{protocol}.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    read(f"protocol{protocol}.pth", "legacy", weights_only=False)
torch.save(torch.arange(3), OUT / "tensor.pth")
read("tensor.pth", "zip")
torch.save([torch.arange(3), {"a": torch.ones(2)}, 5], OUT / "list.pth")
read("list.pth", "zip")
write_tar(OUT / "tar.pth")
read("tar.pth", "tar", weights_only=False)

# A module in a legacy file comes with its source code and the path of that.
torch.save(torch.nn.Sequential(torch.nn.Linear(1, 1)), OUT / "module_zip.pth")
expected["module_zip.pth"] = {"container": "zip", "unsupported": "module"}
torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), OUT / "torchscript.pth")
expected["torchscript.pth"] = {"container": "zip", "unsupported": "TorchScript"}

(OUT / "checkpoints.json").write_text(json.dumps(expected, indent=1) + "\n")
