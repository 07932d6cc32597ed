#pragma once

#include "nn/blocks.h"

namespace visiontorch::nn {

// Shared by GoogLeNet and Inception V3.

// torchvision's BasicConv2d.
Node basic_conv(const std::string& name, int64_t in, int64_t out, Size kernel, Size padding = 0, int64_t stride = 1);

// torchvision's transform_input: converts images normalized with ImageNet's mean and standard deviation, as for
// torchvision's other networks, to mean 0.5 and deviation 0.5, with which Google trained the weights.
Node transform_input();

}  // namespace visiontorch::nn
