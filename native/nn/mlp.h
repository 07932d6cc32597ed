#pragma once

#include "nn/blocks.h"

namespace visiontorch::nn {

// The multi-layer perceptron of vision transformers, torchvision.ops.MLP with GELU. As in torchvision, the weights
// start from xavier_uniform_() and the biases from normal_(std=1e-6).
Sequential mlp(int64_t features, int64_t hidden, double dropout);

}  // namespace visiontorch::nn
