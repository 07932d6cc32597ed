"""Calls a server with Triton's HTTP client, which speaks the Open Inference Protocol v2, and prints the results as JSON.

triton_client.py HOST:PORT MODEL IMAGE TENSOR: IMAGE is a file, TENSOR the float32 values of one image of 3 x 32 x 32.
"""

import json
import sys

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

url, model, image, tensor = sys.argv[1:]
client = http.InferenceServerClient(url)
result = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(model),
    "unknown_ready": client.is_model_ready("unknown"),
    "server": client.get_server_metadata(),
    "model": client.get_model_metadata(model),
    "index": client.get_model_repository_index(),
}

pixels = np.fromfile(tensor, np.float32).reshape(1, 3, 32, 32)
encoded = np.array([open(image, "rb").read()] * 2, dtype=object)


def infer(array, datatype, binary_input, outputs):
    infer_input = http.InferInput("image" if datatype == "BYTES" else "input", list(array.shape), datatype)
    infer_input.set_data_from_numpy(array, binary_data=binary_input)
    return client.infer(model, [infer_input], outputs=outputs, request_id="7")


def values(answer, name):
    return answer.as_numpy(name).tolist()


def output(name, **options):
    return http.InferRequestedOutput(name, **options)


binary = infer(pixels, "FP32", True, None)
text = infer(pixels, "FP32", False, [output("logits", binary_data=False), output("probabilities", binary_data=True)])
images = infer(encoded, "BYTES", True, [output("logits"), output("probabilities", binary_data=False)])
classes = infer(encoded, "BYTES", True, [output("probabilities", class_count=2)])
result["response"] = {key: binary.get_response()[key] for key in ("model_name", "model_version", "id")}
result["binary"] = [values(binary, "logits"), values(binary, "probabilities")]
result["text"] = [values(text, "logits"), values(text, "probabilities")]
result["images"] = [values(images, "logits"), values(images, "probabilities")]
result["classes"] = [[text.decode() for text in row] for row in classes.as_numpy("probabilities").tolist()]

errors = {}
for name, call in {
    "unknown model": lambda: client.infer("unknown", [http.InferInput("input", [1], "FP32")]),
    "wrong shape": lambda: infer(pixels[:, :2], "FP32", True, None),
    "wrong type": lambda: infer(pixels.astype(np.float64), "FP64", True, None),
    "not an image": lambda: infer(np.array([b"x"], dtype=object), "BYTES", True, None),
    "load": lambda: client.load_model(model),
}.items():
    try:
        call()
    except InferenceServerException as error:
        errors[name] = [error.status(), error.message()]
result["errors"] = errors
print(json.dumps(result))
