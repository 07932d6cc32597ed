"""Writes the network in 8 bits by ONNX Runtime's static quantization."""

import os

from common import answer, job, noise
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

IMAGES = 16


class Images(CalibrationDataReader):
    def __init__(self):
        self.images = iter(noise(IMAGES).split(1))

    def get_next(self):
        images = next(self.images, None)
        return images if images is None else {"images": images.numpy()}


path = f"{job['folder']}/{job['network']}"
prepared = f"{path}.prepared.onnx"
quant_pre_process(job["graph"], prepared, skip_symbolic_shape=True)
quantize_static(
    prepared,
    f"{path}.static.onnx",
    Images(),
    quant_format=QuantFormat.QDQ,
    per_channel=True,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
)
os.remove(prepared)
answer({})
