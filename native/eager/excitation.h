#pragma once

#include <ATen/core/Tensor.h>

#include "nn/blocks.h"

namespace visiontorch::eager {

// Computes x * scale_activation(fc2(activation(fc1(means of x's pixels)))) as one operation; x: [n, channels, h, w].
// Its backward pass reads and writes the activations about half as often as the backward passes of separate operations,
// which compute the gradient of the means and add it to that of x in passes of their own. The layers compute in
// float32.
at::Tensor squeeze_excitation(const nn::SqueezeExcitation& block, const at::Tensor& x);

}  // namespace visiontorch::eager
