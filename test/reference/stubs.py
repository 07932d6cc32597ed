"""Imports torchvision beside a torch that its compiled operators were not built for: only its Python code is needed."""
import torch

# torchvision registers shape functions for its own operators at import: they must be known, not implemented.
_library = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    try:
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:  # the compiled operators are there
        pass


def torchvision_models():
    import torchvision.models as models

    return models
