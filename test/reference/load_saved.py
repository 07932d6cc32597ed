"""load_saved.py JSON: loads files as a user of torchvision does, and prints the SHA-256 of every tensor.

JSON is a list of {"path", "architecture", "kwargs"}; a dict with a state_dict in it, or a state_dict.
"""

import hashlib
import json
import sys

import torch

import stubs  # noqa: F401  before torchvision
from torchvision.models import get_model

results = []
for saved in json.loads(sys.argv[1]):
    content = torch.load(saved["path"], weights_only=True)
    state_dict = content.get("state_dict", content)
    model = get_model(saved["architecture"], **saved["kwargs"])
    model.load_state_dict(state_dict, strict=True)
    results.append(
        {
            "tensors": {
                name: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
                for name, value in model.state_dict().items()
            },
            "metadata": {key: value for key, value in content.items() if key != "state_dict"}
            if "state_dict" in content
            else None,
        }
    )
print(json.dumps(results))
