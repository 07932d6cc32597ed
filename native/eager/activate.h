#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"

namespace visiontorch::eager {

at::Tensor activate(const at::Tensor& x, nn::Activation activation);

// activation(x), in place unless its gradient needs x. What computed x must not need its own output for its gradient.
at::Tensor activate_(at::Tensor x, std::optional<nn::Activation> activation);

}  // namespace visiontorch::eager
