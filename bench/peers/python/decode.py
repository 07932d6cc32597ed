"""Measures the processor time per image, in ms, of decoding, of making the network's input (`evaluation`), or of both."""

import time

from common import evaluation, job, serve, to_input
from PIL import Image
import stubs  # noqa: F401, before torchvision
from torchvision import transforms as T

crop = [T.RandomResizedCrop(224), T.RandomHorizontalFlip()]
bilinear = T.InterpolationMode.BILINEAR
augmentations = {
    "standard": crop,
    "autoaugment": [*crop, T.AutoAugment(interpolation=bilinear)],
    "randaugment": [*crop, T.RandAugment(interpolation=bilinear)],
    "trivialaugment": [*crop, T.TrivialAugmentWide(interpolation=bilinear)],
}
task = job["task"]
files = job["photos"]
decode = lambda file: Image.open(file).convert("RGB")  # noqa: E731
decoded = [decode(file) for file in files]
transform = T.Compose([*augmentations[task], *to_input()]) if task in augmentations else evaluation()


def step():
    for file, image in zip(files, decoded):
        if task == "decode":
            decode(file)
        else:
            output = transform(decode(file) if task == "decode + evaluation" else image)
    # Only evaluation is the same on both sides, byte for byte.
    return output.flatten()[::97].tolist() if task.endswith("evaluation") else []


serve(step, lambda: time.process_time() / len(files))
