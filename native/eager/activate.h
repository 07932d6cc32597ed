#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/layers.h"

namespace visiontorch::eager {

// activation(x), in place: a backward pass needs the output only, and what comes before does not need its own.
at::Tensor activate_(at::Tensor x, std::optional<nn::Activation> activation);

}  // namespace visiontorch::eager
