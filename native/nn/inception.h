#pragma once

#include "nn/blocks.h"

namespace visiontorch::nn {

// What GoogLeNet and Inception V3 have in common.

// torchvision's BasicConv2d.
Node basic_conv(const std::string& name, int64_t in, int64_t out, Size kernel, Size padding = 0, int64_t stride = 1);

// torchvision's transform_input: from images normalized by ImageNet's mean and deviation, as its other networks take
// them, to mean 0.5 and deviation 0.5, with which Google trained its weights.
Node transform_input();

}  // namespace visiontorch::nn
