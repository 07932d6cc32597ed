"""onnx_logits.py FILE.onnx ... : checks ONNX files with onnx.checker, and computes them with ONNX Runtime.

Reads the input of each from FILE.f32, in float32, and its shape from FILE.shape: numbers separated by commas. Prints
{"FILE": {"opset", "inputs", "outputs", "metadata", "operations", "values": [...]}}.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime


def run(path):
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shape = [int(size) for size in pathlib.Path(path).with_suffix(".shape").read_text().split(",")]
    images = numpy.fromfile(pathlib.Path(path).with_suffix(".f32"), numpy.float32).reshape(shape)
    return {
        "opset": model.opset_import[0].version,
        "inputs": {value.name: value.shape for value in session.get_inputs()},
        "outputs": {value.name: value.shape for value in session.get_outputs()},
        "metadata": session.get_modelmeta().custom_metadata_map,
        "operations": sorted(node.op_type for node in model.graph.node),
        "values": session.run(None, {session.get_inputs()[0].name: images})[0].flatten().tolist(),
    }


print(json.dumps({path: run(path) for path in sys.argv[1:]}))
