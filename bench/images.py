"""The peer of bench/images.ts: Pillow and torchvision on the files that are named, one thread. Prints JSON."""

import json
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parent.parent / "test/reference"))
import stubs  # noqa: E402, F401, before torchvision
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torchvision import transforms as T  # noqa: E402

torch.set_num_threads(1)
rounds, *files = sys.argv[1:]
to_input = [T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
crop = [T.RandomResizedCrop(224), T.RandomHorizontalFlip()]
bilinear = T.InterpolationMode.BILINEAR
transforms = {
    "evaluation": [T.Resize(256), T.CenterCrop(224)],
    "standard": crop,
    "autoaugment": [*crop, T.AutoAugment(interpolation=bilinear)],
    "randaugment": [*crop, T.RandAugment(interpolation=bilinear)],
    "trivialaugment": [*crop, T.TrivialAugmentWide(interpolation=bilinear)],
}
transforms = {name: T.Compose([*operations, *to_input]) for name, operations in transforms.items()}
decode = lambda file: Image.open(file).convert("RGB")  # noqa: E731
decoded = [decode(file) for file in files]
tasks = {
    "decode": lambda i: decode(files[i]),
    **{name: lambda i, run=run: run(decoded[i]) for name, run in transforms.items()},
    "decode + evaluation": lambda i: transforms["evaluation"](decode(files[i])),
}
best = {}
for _ in range(int(rounds)):
    for name, task in tasks.items():
        start = time.process_time()
        for i in range(len(files)):
            task(i)
        milliseconds = (time.process_time() - start) * 1000 / len(files)
        best[name] = min(best.get(name, milliseconds), milliseconds)
print(json.dumps(best))
