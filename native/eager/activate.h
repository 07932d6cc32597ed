#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"

namespace visiontorch::eager {

at::Tensor activate(const at::Tensor& x, nn::Activation activation);

// Computes activation(x), in place unless its gradient needs x. The operation that computed x must not need x for its
// own gradient.
at::Tensor activate_(at::Tensor x, std::optional<nn::Activation> activation);

}  // namespace visiontorch::eager
