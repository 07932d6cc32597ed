"""Weights, the ONNX graph, noise and a photograph's stand-in, once."""

import pathlib

from common import answer, job, network, torch

folder = pathlib.Path(job["folder"])
name = job["network"]
torch.manual_seed(0)
model = network().eval()
state = model.state_dict()
torch.save(state, folder / f"{name}.pth")
if name == "vgg16":
    # Data follows the pickles without padding, so that their length decides whether tensors are aligned: a longer
    # (unused) name among the state's metadata moves them.
    wanted = {"legacy": 0, "odd": 1}
    metadata = state._metadata
    length = 0
    while wanted:
        state._metadata = {**metadata, "": {**metadata[""], "x" * length: 0}}
        path = folder / f"{name}.saved"
        torch.save(state, path, _use_new_zipfile_serialization=False)
        for kind, remainder in wanted.items():
            if path.stat().st_size % 4 == remainder:  # the file ends with float32 data
                path.rename(folder / f"{name}.{kind}.pth")
                del wanted[kind]
                break
        length += 1
    path.unlink(missing_ok=True)
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
