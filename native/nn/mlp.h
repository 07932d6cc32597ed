#pragma once

#include "nn/blocks.h"

namespace visiontorch::nn {

// The multi-layer perceptron of vision transformers, torchvision.ops.MLP with GELU. Its weights start as theirs do:
// from xavier_uniform_(), the biases from normal_(std=1e-6).
Sequential mlp(int64_t features, int64_t hidden, double dropout);

}  // namespace visiontorch::nn
