"""Writes the seeds of test/fuzz/corpus:  python fuzz_seeds.py CORPUS  (small files of each kind; libFuzzer finds the rest)."""

import io
import pathlib
import pickle
import sys
import zipfile
from collections import Counter, OrderedDict, defaultdict

import stubs
import torch
from safetensors.torch import save
from PIL import Image

corpus = pathlib.Path(sys.argv[1])
fixtures = pathlib.Path(__file__).parents[1] / "fixtures/checkpoints"
STORAGES = {"0": 64, "1": 65536}  # the sizes in bytes that test/fuzz/zip_file.h writes


def write(target: str, name: str, content: bytes) -> None:
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


class Pickler(pickle.Pickler):
    """Pickles like torch.save, with every storage in one of STORAGES."""

    def persistent_id(self, value):
        if not isinstance(value, torch.storage.TypedStorage):
            return None
        size = value._untyped_storage.nbytes()
        key = next(key for key, bytes_ in STORAGES.items() if size <= bytes_)
        item = value.element_size()
        return ("storage", getattr(torch, value.pickle_storage_type()), key, "cpu", STORAGES[key] // item)


def pickled(value, protocol=2) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol).dump(value)
    return buffer.getvalue()


for path in sorted(fixtures.glob("*.pth")):
    write("checkpoint", path.stem, path.read_bytes())
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            write("pickle", path.stem, archive.read(name))

small = {"w": torch.arange(4.0), "n": torch.tensor(3), "h": torch.zeros(2, 0).half(), "b": torch.tensor([True])}
write("checkpoint", "safetensors", save(small, metadata={"format": "pt"}))

values = {
    "counter": {"a": Counter(b=2), "b": defaultdict(list), "c": {1, 2}, "d": complex(1, 2), "e": bytearray(b"abc")},
    "numbers": [0, 255, 65535, -1, 2**40, -(2**70), 0.5, True, None, "text", b"bytes", (1, (2, (3,)))],
    "tensors": {"w": torch.zeros(4), "t": torch.zeros(2, 3).t(), "h": torch.zeros(3).half(), "p": torch.nn.Parameter(torch.zeros(2))},
    "dtypes": [torch.zeros(2, dtype=dtype) for dtype in (torch.int8, torch.bool, torch.bfloat16, torch.complex64, torch.uint16)],
    "kinds": [torch.Size([1, 2]), torch.device("cpu"), torch.float32],
}
for name, value in values.items():
    write("pickle", name, pickled(value))
    write("pickle", f"{name}-protocol4", pickled(value, 4))

# The network of test/fuzz/state_dict.cc.
model = stubs.torchvision_models().mobilenet_v2(
    num_classes=3, width_mult=0.1, inverted_residual_setting=[[1, 8, 1, 1]]
)
state = model.state_dict()
write("state_dict", "plain", pickled(state))
write("state_dict", "training", pickled({"epoch": 1, "state_dict": OrderedDict((f"module.{k}", v) for k, v in state.items())}))
write("state_dict", "headless", pickled({k: v for k, v in state.items() if not k.startswith("classifier")}))
write("state_dict", "ema", pickled({"state_dict": state, "state_dict_ema": state, "loss": torch.tensor(0.5)}))

image = Image.radial_gradient("L").resize((33, 21)).convert("RGB")
for name, options in {
    "baseline": {},
    "progressive": {"progressive": True},
    "444": {"subsampling": 0},
    "restart": {"restart_marker_blocks": 1},
    "comment": {"comment": b"a comment"},
}.items():
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60, **options)
    write("image", f"{name}.jpg", buffer.getvalue())
for mode in ("1", "L", "P", "RGB"):
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "BMP")
    write("image", f"{mode}.bmp", buffer.getvalue())
for mode, name in (("1", "pbm"), ("L", "pgm"), ("RGB", "ppm")):
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "PPM")
    write("image", name, buffer.getvalue())
write("image", "plain.ppm", b"P3 2 1 255 1 2 3 4 5 6\n")
write("image", "rle.bmp", bytes.fromhex(
    "424d4e000000000000003e00000028000000080000000200000001000800010000001000000000000000000000000200000002000000"
    "000000ffffff000008010000080000020003010001000001"
))
for mode in ("L", "CMYK"):
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, "JPEG", quality=60)
    write("image", f"{mode}.jpg", buffer.getvalue())
