"""plain_data.py FOLDER: writes checkpoints with objects that programs save with the weights; prints the names of the files.

The weights are those of a SqueezeNet of two classes, under 'state_dict', with the other value under 'extra'.
"""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import logging
import pathlib
import re
import sys
import types
import uuid

import numpy as np
import stubs
import torch

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(0)
model = stubs.torchvision_models().squeezenet1_1(num_classes=2)
weights = model.state_dict()


def project(**classes):
    """Puts classes into a module that exists only in the program that saved the file."""
    module = sys.modules["project.config"]
    for name, value in classes.items():
        value.__module__, value.__qualname__, value.__name__ = "project.config", name, name
        setattr(module, name, value)


class AttributeDict(dict):
    pass


class Config:
    def __init__(self):
        self.lr = 0.1


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass(frozen=True)
class Hyper:
    lr: float = 0.1


class Stateful:
    def __getstate__(self):
        return {"a": 1}

    def __setstate__(self, state):
        pass


def make(value):
    return value


class Made:
    def __reduce__(self):
        return make, (1,)


Pair = collections.namedtuple("Pair", "a b")
for name in ("project", "project.config"):
    sys.modules[name] = types.ModuleType(name)
project(AttributeDict=AttributeDict, Config=Config, Color=Color, Level=Level, Hyper=Hyper, Stateful=Stateful, make=make, Pair=Pair)

extras = {
    "namespace": argparse.Namespace(lr=0.1, t=torch.zeros(3)),
    "nested": {"a": [argparse.Namespace(x=argparse.Namespace(y=1))]},
    "simple-namespace": types.SimpleNamespace(a=1),
    "config": Config(),
    "enum": Color.RED,
    "int-enum": Level.LOW,
    "dataclass": Hyper(),
    "stateful": Stateful(),
    "namedtuple": Pair(1, 2),
    "attribute-dict": AttributeDict(a=1),
    "path": pathlib.PurePosixPath("/a/b"),
    "datetime": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    "decimal": decimal.Decimal("1.5"),
    "uuid": uuid.UUID(int=5),
    "defaultdict": collections.defaultdict(int, a=1),
    "deque": collections.deque([1]),
    "partial": functools.partial(int, base=2),
    "range": range(3),
    "type": int,
    "function": make,
    "loss": torch.nn.CrossEntropyLoss(weight=torch.ones(2)),
    "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
    "numpy-float": np.float64(1.5),
    "numpy-int": np.int64(3),
    "numpy-bool": np.bool_(True),
    "numpy-array": np.arange(5),
    "numpy-strings": np.array(["a", "b"]),
    "numpy-state": np.random.RandomState(0).get_state(),
    "made": Made(),
    "logger": logging.getLogger("x"),
    "regex": re.compile("a"),
    "builtin": len,
}
for name, value in extras.items():
    torch.save({"state_dict": weights, "extra": value}, folder / f"{name}.pth")
torch.save({key: value.numpy() for key, value in weights.items()}, folder / "numpy-weights.pth")
torch.save(
    {
        "epoch": 3,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": {f"model.{key}": value for key, value in weights.items()} | {"loss.weight": torch.ones(2)},
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "hparams_name": "kwargs",
        "hyper_parameters": AttributeDict(lr=0.1, args=argparse.Namespace(a=1)),
        "datamodule_hyper_parameters": {"root": pathlib.PurePosixPath("/x")},
    },
    folder / "lightning.ckpt",
)
for prefix in ("module.", "_orig_mod.", "model.", "net.", "backbone.", "model._orig_mod.module.", "encoder.backbone."):
    torch.save({"model_ema": {prefix + key: value for key, value in weights.items()}}, folder / f"prefix-{prefix}pth")
print(json.dumps(sorted(extras)))
