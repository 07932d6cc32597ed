"""Imports torchvision with a torch for which its compiled operators were not built, because only its Python code is needed."""
import importlib.metadata
import re

import torch

_built_for = re.search(r"\btorch\W+(\d+\.\d+)", " ".join(importlib.metadata.requires("torchvision") or ()))
if not _built_for or not torch.__version__.startswith(_built_for[1] + "."):  # otherwise the compiled operators work
    # At import, torchvision registers shape functions for its own operators, which must be declared but not implemented.
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def torchvision_models():
    import torchvision.models as models

    return models
