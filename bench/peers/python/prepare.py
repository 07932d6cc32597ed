"""Writes the weights, the ONNX graph, noise and a stand-in for a photograph, once."""

import pathlib
import sys

from common import answer, job, network, torch

sys.path.append(str(pathlib.Path(__file__).parents[3] / "test/reference"))
from legacy import save_legacy  # noqa: E402

folder = pathlib.Path(job["folder"])
name = job["network"]
torch.manual_seed(0)
model = network().eval()
for parameter in model.parameters():
    if parameter.dim() == 2 and not parameter.any():  # ViT's classifier: with zeros, all logits would be zero
        torch.nn.init.normal_(parameter, std=0.01)
state = model.state_dict()
torch.save(state, folder / f"{name}.pth")
if name == "vgg16":
    save_legacy(state, folder / f"{name}.legacy.pth", 0)
    save_legacy(state, folder / f"{name}.odd.pth", 1)
torch.onnx.export(
    model,
    (torch.zeros(2, 3, 224, 224),),
    str(folder / f"{name}.onnx"),
    input_names=["images"],
    output_names=["logits"],
    dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
    dynamo=False,
)
torch.randn(64, 3, 224, 224).numpy().tofile(job["noise"])
from PIL import Image  # noqa: E402

noise = (torch.rand(12, 16, 3) * 255).byte().numpy()
Image.fromarray(noise).resize((640, 480), Image.BICUBIC).save(job["photo"])
answer({})
