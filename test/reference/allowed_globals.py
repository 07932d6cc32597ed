"""Writes checkpoints with everything that torch.load(weights_only=True) allows, and what it reads from each.

python allowed_globals.py OUT: OUT/expected.json holds a normal form of the value of each file, and the names of all
globals that the restricted loader allows. Fails if one of these does not occur in any file.
"""

import collections
import hashlib
import json
import pathlib
import re
import struct
import sys
import warnings
import zipfile

import torch
from torch._weights_only_unpickler import _get_allowed_globals, get_globals_in_pkl

warnings.filterwarnings("ignore")
OUT = pathlib.Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
INTEGERS = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32}


def mapping(**items):
    return {"map": [[key, value] for key, value in items.items()]}


def tensor(value):
    value = value.detach().resolve_conj().resolve_neg().contiguous()
    itemsize = value.element_size()
    # The bytes of any type, including those that NumPy lacks.
    begin = value.storage_offset() * itemsize
    data = bytes(value.untyped_storage())[begin : begin + value.numel() * itemsize]
    return {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "sha256": hashlib.sha256(data).hexdigest()}


def quantized(value):
    # The order of the keys is not compared.
    scheme = value.qscheme()
    if value.dtype in INTEGERS:
        data = tensor(value.int_repr())
    else:  # several elements per byte
        data = tensor(torch.frombuffer(bytearray(bytes(value.untyped_storage())), dtype=torch.uint8))
    result = dict(type="quantized", dtype=str(value.dtype), shape=list(value.shape), data=data, scheme=str(scheme))
    if scheme == torch.per_tensor_affine:
        result.update(scale=value.q_scale(), zero_point=value.q_zero_point())
    else:
        result.update(
            scales=tensor(value.q_per_channel_scales()),
            zero_points=tensor(value.q_per_channel_zero_points()),
            axis=value.q_per_channel_axis(),
        )
    return mapping(**result)


def describe(value):
    if isinstance(value, torch.Tensor):
        if value.is_quantized:
            return quantized(value)
        if value.layout == torch.sparse_coo:
            return mapping(
                type="sparse",
                layout="torch.sparse_coo",
                shape=list(value.shape),
                indices=tensor(value._indices()),
                values=tensor(value._values()),
            )
        if value.layout in (torch.sparse_csr, torch.sparse_bsr, torch.sparse_csc, torch.sparse_bsc):
            rows = value.layout in (torch.sparse_csr, torch.sparse_bsr)
            return mapping(
                type="sparse",
                layout=str(value.layout),
                shape=list(value.shape),
                compressed_indices=tensor(value.crow_indices() if rows else value.ccol_indices()),
                plain_indices=tensor(value.col_indices() if rows else value.row_indices()),
                values=tensor(value.values()),
            )
        if value.is_nested:
            return mapping(
                type="nested",
                buffer=tensor(value.values()),
                sizes=tensor(value._nested_tensor_size()),
                strides=tensor(value._nested_tensor_strides()),
                offsets=tensor(value._nested_tensor_storage_offsets()),
            )
        if value.is_meta:
            return mapping(type="meta", dtype=str(value.dtype), shape=list(value.shape), strides=list(value.stride()))
        return tensor(value)
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else {"bigint": str(value)}
    if isinstance(value, complex):
        return mapping(real=value.real, imag=value.imag)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": list(value)}
    if isinstance(value, dict):
        return {"map": [[describe(key), describe(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, set)):
        return [describe(item) for item in value]
    if isinstance(value, (torch.dtype, torch.layout, torch.device, torch.qscheme)):
        return str(value)
    raise TypeError(type(value))


# Objects as torch.save writes them.
class Attributes(torch.nn.Parameter):
    pass


def parameter_with_state():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "an attribute"
    return parameter


def tensor_with_state():
    value = torch.arange(3.0)
    value.note = "an attribute"
    return value


def filled(dtype):
    value = torch.empty(6, dtype=dtype)
    value.untyped_storage().copy_(torch.arange(6 * value.element_size(), dtype=torch.uint8).untyped_storage())
    return value.reshape(2, 3)


dtypes = [value for value in _get_allowed_globals().values() if isinstance(value, torch.dtype)]
# torch.save does not write tensors of types smaller than a byte.
subbyte = re.compile(r"torch\.(q|u?int[1-7]$)")
plain_dtypes = [dtype for dtype in dtypes if not subbyte.match(str(dtype)) and dtype != torch.bool]
eye = torch.eye(4)
weights = torch.arange(6.0).reshape(2, 3)
scheduler = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([torch.ones(1)], 0.1), [10, 20])
objects = {
    "dtypes": {str(dtype): filled(dtype) for dtype in plain_dtypes},
    "dtypes_transposed": {str(dtype): filled(dtype).t() for dtype in plain_dtypes},
    "dtype_values": dtypes,
    "counter": scheduler.state_dict(),
    "plain": {
        "counter": collections.Counter("abracadabra"),
        "ordered": collections.OrderedDict(a=1, b=[2, (3,)]),
        "bytearray": bytearray(b"\x00\xff\x80abc"),
        "empty": [bytearray(), set(), (), [], {}, collections.OrderedDict(), collections.Counter()],
        "bytes": b"\x00\xff\x80abc",
        "complex": 1.5 - 2j,
        "set": {7},
        "size": torch.Size([2, 3]),
        "devices": [torch.device("cpu"), torch.device("cuda", 1), torch.device("meta")],
        "layouts": [torch.strided, torch.sparse_coo, torch.sparse_csr],
        "ints": [0, -1, 255, 256, 65536, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, -(2**80), 2**2000],
        "floats": [0.0, -0.0, 1e-320, 1.7976931348623157e308],
        "strings": ["", "é", "猫", "\udcff", "\U0001f600", "x" * 300],
        "keys": {(1, "a"): 1, None: 2, 1.5: 3, False: 4, b"k": 5, ("nested", (1, 2)): 6},
        "none": None,
        "flags": [True, False],
    },
    "parameters": {"plain": torch.nn.Parameter(weights), "with_state": parameter_with_state(), "tensor": tensor_with_state()},
    "conj": {"conj": filled(torch.complex64).conj(), "neg": filled(torch.complex64).conj().imag, "both": filled(torch.complex128).conj().t()},
    "sparse": {
        "coo": eye.to_sparse(),
        "csr": eye.to_sparse_csr(),
        "csc": eye.to_sparse_csc(),
        "bsr": eye.to_sparse_bsr((2, 2)),
        "bsc": eye.to_sparse_bsc((2, 2)),
    },
    "quantized": {
        **{str(dtype): torch.quantize_per_tensor(weights, 0.5, 1, dtype) for dtype in INTEGERS},
        "channels": torch.quantize_per_channel(weights, torch.tensor([0.5, 0.25]), torch.tensor([1, 2]), 0, torch.quint8),
        "float_channels": torch.quantize_per_channel(weights, torch.tensor([0.5, 0.25]), torch.tensor([1.0, 2.0]), 0, torch.quint8),
        "packed4": torch.quantize_per_channel(weights, torch.tensor([0.5, 0.25]), torch.tensor([1.0, 2.0]), 0, torch.quint4x2),
    },
    "nested": torch.nested.nested_tensor([torch.ones(2, 3), torch.zeros(1, 3)]),
    "meta": torch.empty(2, 3, dtype=torch.float16, device="meta"),
    "shared": (lambda value: [value, value, {"again": value}])(torch.arange(4)),
    "tied": {"a": weights, "b": weights.view(3, 2), "c": weights[1:]},
    "untyped": torch.arange(4, dtype=torch.uint8).untyped_storage(),
    "typed": torch.arange(4.0).storage(),
}
expected = {}
covered = set()


def read(path, describe=describe):
    value = torch.load(path, weights_only=True)
    if isinstance(value, (torch.UntypedStorage, torch.storage.TypedStorage)):
        untyped = value if isinstance(value, torch.UntypedStorage) else value.untyped()
        expected[path.name] = {"bytes": list(bytes(untyped))}
    else:
        expected[path.name] = describe(value)
    with zipfile.ZipFile(path) as archive, archive.open(f"{path.stem}/data.pkl") as data:
        covered.update(get_globals_in_pkl(data))


for name, value in objects.items():
    torch.save(value, OUT / f"{name}.pth")
    read(OUT / f"{name}.pth")
    legacy = OUT / f"{name}_legacy.pth"
    try:
        torch.save(value, legacy, _use_new_zipfile_serialization=False)
        if torch.load(legacy, weights_only=True) is not None:
            expected[legacy.name] = expected[f"{name}.pth"]
    except Exception:
        legacy.unlink(missing_ok=True)  # types that the legacy format cannot hold


# Pickles that today's torch.save does not write, but its restricted loader reads.
def string(text):
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def name(path):
    module, _, last = path.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def sequence(*items):
    return b"(" + b"".join(items) + b"t"


def call(path, *arguments):
    return name(path) + sequence(*arguments) + b"R"


def storage(kind, numel, location="cpu"):
    return sequence(string("storage"), name(kind), string("0"), string(location), integer(numel)) + b"Q"


def save(file, body, data=bytes(range(16)), describe=describe):
    path = OUT / file
    writer = torch._C.PyTorchFileWriter(str(path))
    pickle = b"\x80\x02" + body + b"."
    writer.write_record("data.pkl", pickle, len(pickle))
    writer.write_record("data/0", data, len(data))
    writer.write_end_of_file()
    read(path, describe)


def rebuilt(kind, numel, function="torch._utils._rebuild_tensor"):
    return call(function, storage(kind, numel), integer(0), sequence(integer(numel)), sequence(integer(1)))


allowed = sorted(_get_allowed_globals())
# Every name as a value.
names = lambda value: {"map": [[key, key] for key in value]}
save("names.pth", b"}(" + b"".join(string(path) + name(path) for path in allowed) + b"u", describe=names)
# A tensor in a storage of every class.
for path in allowed:
    value = _get_allowed_globals()[path]
    if path.endswith("Storage") and not path.startswith("torch.storage.") and "Q" not in path:
        save(f"{path}.pth", rebuilt(path, 16 // value.dtype.itemsize))
    if path.endswith("Tensor") and "sparse" not in path and "cuda" not in path:
        save(f"{path}.pth", call(path))
        state = sequence(storage("torch.FloatStorage", 4), integer(1), sequence(integer(2)), sequence(integer(1)))
        save(f"{path}_new.pth", name("torch.Tensor") + b")\x81" + state + b"b")
floats = lambda numel: rebuilt("torch.FloatStorage", numel)
flags = b"\x89" + call("collections.OrderedDict")
save("parameter.pth", name("torch.nn.parameter.Parameter") + sequence(floats(4), b"\x88") + b"\x81")
save("old_sparse.pth", call("torch.sparse.LongTensor", rebuilt("torch.LongStorage", 2) [:-1].replace(sequence(integer(2)), sequence(integer(1), integer(2)), 1).replace(sequence(integer(1)), sequence(integer(2), integer(1)), 1) + b"R", rebuilt("torch.LongStorage", 2), call("torch.Size", sequence(integer(5)))))
cpu_tensor = [floats(4), name("torch.bfloat16"), string("cpu"), b"\x89"]
save("device_tensor.pth", call("torch._utils._rebuild_device_tensor_from_cpu_tensor", *cpu_tensor))
state = [name("torch._utils._rebuild_tensor"), name("torch.Tensor")]
state += [sequence(storage("torch.FloatStorage", 4), integer(0), sequence(integer(4)), sequence(integer(1))), b"N"]
save("from_type.pth", call("torch._tensor._rebuild_from_type_v2", *state))
v3 = [storage("torch.storage.UntypedStorage", 16), integer(1), sequence(integer(2)), sequence(integer(1)), flags]
save("v3.pth", call("torch._utils._rebuild_tensor_v3", *v3, name("torch.int32")))
save("utf8.pth", call("_codecs.encode", string("é"), string("utf-8")))
save("python2.pth", b"}(U\x01aU\x01bu")
save("attributes.pth", call("collections.OrderedDict") + b"}(" + string("anything") + integer(1) + b"ub")

missing = set(allowed) - covered
assert not missing, f"no file has {missing}"
(OUT / "expected.json").write_text(json.dumps({"allowed": allowed, "files": expected}))
print(len(expected), "files,", len(allowed), "globals")
