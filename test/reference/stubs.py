"""Imports torchvision beside a torch that its compiled operators were not built for: only its Python code is needed."""
import importlib.metadata
import re

import torch

_built_for = re.search(r"\btorch\W+(\d+\.\d+)", " ".join(importlib.metadata.requires("torchvision") or ()))
if not _built_for or not torch.__version__.startswith(_built_for[1] + "."):  # else the compiled operators are there
    # torchvision registers shape functions for its own operators at import: they must be known, not implemented.
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def torchvision_models():
    import torchvision.models as models

    return models
