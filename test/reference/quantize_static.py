"""quantize_static.py SIZE FOLDER: quantises FOLDER/float.onnx with ONNX Runtime, for each type of inputs, and computes it.

The folder has float32 images of SIZE x SIZE pixels: calibration.f32 and images.f32. Writes uint8.onnx and int8.onnx, and
prints the logits of each for the images, row by row: {"uint8": [...], "int8": [...]}.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

size, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])


def images(file):
    return numpy.fromfile(folder / file, numpy.float32).reshape(-1, 3, size, size)


class Reader(CalibrationDataReader):
    def __init__(self):
        self.batches = iter([{"pixel_values": images("calibration.f32")}])

    def get_next(self):
        return next(self.batches, None)


result = {}
for name, activations in {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}.items():
    path = folder / f"{name}.onnx"
    quantize_static(
        folder / "float.onnx",
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=name == "uint8",
        activation_type=activations,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm"],
    )
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, settings, ["CPUExecutionProvider"])
    result[name] = session.run(None, {"pixel_values": images("images.f32")})[0].flatten().tolist()
print(json.dumps(result))
