#pragma once

#include <ATen/core/Tensor.h>

#include "ops/attention.h"

namespace visiontorch::autograd {

// Returns whether attention() supports heads of this depth: on the CPU in float32, outside of autocast.
bool supports_attention(const at::Tensor& x, int64_t depth);

// ops::Attention with a backward pass, which computes the weights again instead of keeping them. `settings` are those
// of ops::Attention without padding and cosines, and every token of the image is in one window. `bias`, [heads, tokens,
// tokens], may be undefined, and takes the place of that of the settings. The gradients do not depend on the number of
// threads.
at::Tensor attention(const at::Tensor& qkv, const at::Tensor& bias, const ops::Attention::Settings& settings);

}  // namespace visiontorch::autograd
