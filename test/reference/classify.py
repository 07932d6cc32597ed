"""classify.py FOLDER ARCHITECTURE [IMAGE ...]: torchvision's logits of images, and the weights that it used.

Writes random weights of a network (seeded, with batch norm statistics as after some training) to FOLDER as zip.pth,
legacy.pth, odd.pth (legacy, with data at odd addresses) and tar.pth, makes two images there, and prints
{"image path": [logits]} for those and for each IMAGE.
"""

import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile

import numpy as np
import torch
from PIL import Image

import stubs  # noqa: F401  before torchvision
from legacy import save_at_odd_addresses
from settle import settle
from torchvision.models import get_model, get_model_weights


def make_images(folder: pathlib.Path) -> list[str]:
    """Smooth colours with some noise, upright and wide, as JPEG and PNG."""
    random = np.random.default_rng(0)
    paths = []
    for name, size in (("wide.jpg", (400, 300)), ("upright.png", (250, 333))):
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = smooth + random.integers(-20, 21, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name)
        paths.append(str(folder / name))
    return paths


def save_tar(state_dict: dict[str, torch.Tensor], path: pathlib.Path) -> None:
    """The container of torch 0.1, which torch itself can only read. It had no num_batches_tracked."""
    tensors = {name: value for name, value in state_dict.items() if not name.endswith("num_batches_tracked")}
    storages, descriptions, numbers = io.BytesIO(), io.BytesIO(), {}
    pickle.dump(len(tensors), storages, protocol=2)
    pickle.dump(len(tensors), descriptions, protocol=2)
    for number, value in enumerate(tensors.values()):
        storage, key = 2 * number, 2 * number + 1
        numbers[id(value)] = key
        pickle.dump((storage, "cpu", torch.FloatStorage), storages, protocol=2)
        storages.write(struct.pack("<q", value.numel()) + value.contiguous().numpy().tobytes())
        pickle.dump((key, storage, torch.FloatTensor), descriptions, protocol=2)
        descriptions.write(struct.pack("<ii", value.dim(), 0))
        descriptions.write(struct.pack(f"<{2 * value.dim() + 1}q", *value.shape, *value.stride(), 0))
    pickle.dump([], storages, protocol=2)

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return str(numbers[id(item)]) if isinstance(item, torch.Tensor) else None

    content = io.BytesIO()
    Pickler(content, protocol=2).dump(tensors)
    info = io.BytesIO()
    pickle.dump({"protocol_version": 1000, "little_endian": True}, info, protocol=2)
    with tarfile.open(path, "w") as tar:
        for name, data in (("sys_info", info), ("pickle", content), ("tensors", descriptions), ("storages", storages)):
            member = tarfile.TarInfo(name)
            member.size = len(data.getvalue())
            tar.addfile(member, io.BytesIO(data.getvalue()))


folder, architecture = pathlib.Path(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
preset = get_model_weights(architecture).IMAGENET1K_V1.transforms()
paths = make_images(folder) + sys.argv[3:]
images = torch.stack([preset(Image.open(path).convert("RGB")) for path in paths])
model = get_model(architecture)
settle(model, images)
state_dict = model.state_dict()
torch.save(state_dict, folder / "zip.pth")
torch.save(state_dict, folder / "legacy.pth", _use_new_zipfile_serialization=False)
save_at_odd_addresses(state_dict, folder / "odd.pth")
save_tar(state_dict, folder / "tar.pth")
with torch.no_grad():
    logits = model.eval()(images)
print(json.dumps(dict(zip(paths, logits.tolist()))))
