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

# What torchvision does not say, from the files themselves. The container is left out where nobody looked.
FILES = {
    "vgg16-397923af.pth": ("397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 553433881, "legacy"),
    "vgg16_bn-6c64b313.pth": ("6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a", 553507836, "legacy"),
    "mobilenet_v2-b0353104.pth": ("b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889", None, "legacy"),
    "mobilenet_v2-7ebf99e0.pth": ("7ebf99e03e254b273379b23edca7ec0da9f48273b23a332b93c1c99d49e86e8f", 14258573, "zip"),
    "resnet50-0676ba61.pth": ("0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 102530333, "zip"),
    "resnet50-11ad3fa6.pth": ("11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", 102540417, "zip"),
}  # fmt: skip

# Files that torchvision published before its present IMAGENET1K_V1. It gives no accuracy for them any more. Their exact sizes and
# containers are listed if known.
OLDER = {
    "alexnet": ("alexnet-owt-4df8aa71.pth", None, None),
    "inception_v3": ("inception_v3_google-1a9a5a14.pth", None, None),
    "resnet18": ("resnet18-5c106cde.pth", 46827520, None),
    "resnet34": ("resnet34-333f7ec4.pth", None, None),
    "resnet50": ("resnet50-19c8e357.pth", 102502400, "tar"),
    "resnet101": ("resnet101-5d3b4d8f.pth", None, None),
    "resnet152": ("resnet152-b121ed2d.pth", None, None),
    "squeezenet1_0": ("squeezenet1_0-a815701f.pth", None, None),
    "squeezenet1_1": ("squeezenet1_1-f364aa15.pth", None, None),
    "vgg11": ("vgg11-bbd30ac9.pth", None, None),
    "vgg13": ("vgg13-c768596a.pth", None, None),
}


def hash_prefix(file: str) -> str:
    return re.search(r"-([0-9a-f]{8,})\.pth$", file).group(1)


def network_options(architecture: str, weights) -> dict:
    """The options that torchvision's function for the network sets when it gets these weights."""
    if architecture == "googlenet":
        return {"auxLogits": False, "transformInput": True}
    if architecture == "inception_v3":
        return {"transformInput": True}
    if architecture.startswith("vit_") and weights.meta["min_size"][0] != 224:
        return {"imageSize": weights.meta["min_size"][0]}
    return {}


def entry(architecture: str, weights, default) -> dict:
    file = weights.url.rsplit("/", 1)[1]
    prefix = hash_prefix(file)
    sha256, size, container = FILES.get(file, (prefix, None, None))
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]
    categories = weights.meta["categories"]
    keywords = weights.transforms.keywords
    preset = weights.transforms()
    assert preset.interpolation.value in ("bilinear", "bicubic") and preset.antialias and sha256.startswith(prefix)
    assert categories in (_meta._IMAGENET_CATEGORIES, None) and len(preset.resize_size) == 1
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
        "multiplyAdds": weights.meta["_ops"],
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
        "networkOptions": network_options(architecture, weights),
        "license": weights.meta.get("license"),
    }


entries = []
for architecture in sorted(list_models(torchvision.models)):
    enum = get_model_weights(architecture)
    entries += [entry(architecture, weights, enum.DEFAULT) for weights in enum]

for architecture, (file, size, container) in OLDER.items():
    current = next(e for e in entries if e["architecture"] == architecture and e["name"] == "IMAGENET1K_V1")
    older = {
        **current,
        "name": "IMAGENET1K_V1_OLDER",
        "default": False,
        "url": f"https://download.pytorch.org/models/{file}",
        "sha256": hash_prefix(file),
        "bytes": size,
        "mebibytes": size and round(size / 2**20, 3),
        "container": container,
        "accuracy": None,
    }
    entries.insert(entries.index(current) + 1, older)

folder = pathlib.Path(__file__).parent.parent / "weights"
folder.mkdir(exist_ok=True)
version = torchvision.__version__.split("+")[0]
manifest = {"source": f"torchvision {version}", "weights": entries}
(folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
classes = json.dumps(_meta._IMAGENET_CATEGORIES, indent=1, ensure_ascii=False)
(folder / "imagenet_classes.json").write_text(classes + "\n")
print(f"{len(entries)} weights, {len(_meta._IMAGENET_CATEGORIES)} classes")
