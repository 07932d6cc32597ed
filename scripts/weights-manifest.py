"""Writes weights/manifest.json and weights/imagenet_classes.json from torchvision's own metadata.

Needs torchvision (its compiled operators are not needed, so one that was built for another torch serves too).
Run it again when torchvision publishes new weights.
"""

import json
import math
import pathlib
import re
import sys
import types

sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
import torchvision  # noqa: E402
from torchvision.models import _meta, get_model_weights, list_models  # noqa: E402

FAMILIES = re.compile(r"vgg|mobilenet_v2|resnet|resnext|wide_resnet")

# What torchvision does not say, from the files themselves. The container is left out where nobody looked.
FILES = {
    "vgg16-397923af.pth": ("397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 553433881, "legacy"),
    "vgg16_bn-6c64b313.pth": ("6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a", 553507836, "legacy"),
    "mobilenet_v2-b0353104.pth": ("b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889", None, "legacy"),
    "mobilenet_v2-7ebf99e0.pth": ("7ebf99e03e254b273379b23edca7ec0da9f48273b23a332b93c1c99d49e86e8f", 14258573, "zip"),
    "resnet50-0676ba61.pth": ("0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 102530333, "zip"),
    "resnet50-11ad3fa6.pth": ("11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", 102540417, "zip"),
}  # fmt: skip


def entry(architecture: str, weights, default) -> dict:
    file = weights.url.rsplit("/", 1)[1]
    prefix = re.search(r"-([0-9a-f]{8,})\.pth$", file).group(1)
    sha256, size, container = FILES.get(file, (prefix, None, None))
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]
    categories = weights.meta["categories"]
    keywords = weights.transforms.keywords
    preset = weights.transforms()
    assert preset.interpolation.value == "bilinear" and sha256.startswith(prefix)
    return {
        "architecture": architecture,
        "name": weights.name,
        "default": weights is default,
        "url": weights.url,
        "sha256": sha256,
        "bytes": size,
        "mebibytes": weights.meta["_file_size"],
        "container": container,
        "numClasses": len(categories) if categories else None,
        "parameterCount": weights.meta["num_params"],
        # The features of VGG16 alone come without a classifier, so without an accuracy.
        "accuracy": None
        if math.isnan(accuracy["acc@1"])
        else {"top1": accuracy["acc@1"], "top5": accuracy["acc@5"]},
        "preprocessing": {
            "resize": preset.resize_size[0],
            "crop": keywords["crop_size"],
            "interpolation": preset.interpolation.value,
            "mean": preset.mean,
            "std": preset.std,
        },
    }


entries = []
for architecture in sorted(list_models(torchvision.models)):
    if FAMILIES.match(architecture):
        enum = get_model_weights(architecture)
        entries += [entry(architecture, weights, enum.DEFAULT) for weights in enum]

# The file of IMAGENET1K_V1 as torch 0.1 wrote it, which older programs still download.
v1 = next(e for e in entries if e["architecture"] == "resnet50" and e["name"] == "IMAGENET1K_V1")
tar = {
    **v1,
    "name": "IMAGENET1K_V1_TAR",
    "url": v1["url"].replace("0676ba61", "19c8e357"),
    "sha256": "19c8e357",
    "bytes": 102502400,
    "mebibytes": round(102502400 / 2**20, 3),
    "container": "tar",
}
entries.insert(entries.index(v1) + 1, tar)

folder = pathlib.Path(__file__).parent.parent / "weights"
folder.mkdir(exist_ok=True)
version = torchvision.__version__.split("+")[0]
manifest = {"source": f"torchvision {version}", "weights": entries}
(folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
classes = json.dumps(_meta._IMAGENET_CATEGORIES, indent=1, ensure_ascii=False)
(folder / "imagenet_classes.json").write_text(classes + "\n")
print(f"{len(entries)} weights, {len(_meta._IMAGENET_CATEGORIES)} classes")
