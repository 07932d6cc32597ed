#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace visiontorch::nn {

// How activations are stored as unsigned bytes: value = scale * (byte - zero_point). Zero is stored exactly.
struct ByteScale {
  float scale = 1;  // finite and positive
  uint8_t zero_point = 0;

  bool operator==(const ByteScale&) const = default;
};

// A convolution or linear layer in integers, with the following batch norm folded in:
// y[o] = weight_scale[o] * input.scale * (sum over k of weight[o, k] * (x[k] - input.zero_point)) + bias[o].
struct QuantizedLayer {
  ByteScale input;
  at::Tensor weight;        // int8 in [-127, 127], contiguous, in the shape of the layer's own weight
  at::Tensor weight_scale;  // float32 [out], finite and positive
  at::Tensor bias;          // float32 [out]
};

// The layers of a network that compute in integers; all others compute in floating point. The network's own parameters
// hold the same weights in float32 (weight * weight_scale), and folded batch norms are identities.
struct Quantization {
  std::map<std::string, QuantizedLayer> layers;  // by the layer's name in the state dict, such as "layer1.0.conv1"
};

}  // namespace visiontorch::nn
