"""OpenVINO on the graph that PyTorch exported, for one size of the batch."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1] / "python"))
from common import job, noise, serve  # noqa: E402
from openvino import Core  # noqa: E402

model = Core().read_model(job["graph"])
images = noise(job["batch"]).numpy()
model.reshape(list(images.shape))
# In 8 bits, this is the type of the layers that are not quantized.
precision = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}[job["dtype"]]
compiled = Core().compile_model(
    model,
    "CPU",
    {
        "INFERENCE_NUM_THREADS": job["threads"],
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    },
)
request = compiled.create_infer_request()


def step():
    return request.infer([images])[0]


serve(step, read=lambda logits: logits.flatten().tolist())
