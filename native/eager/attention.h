#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "nn/transformer.h"

namespace visiontorch::eager {

// The blocks of vision transformers, with autograd. `training` turns on dropout.

// [n, 3, h, w] -> [n, 1 + patches, features]
at::Tensor embed(const nn::PatchEmbedding& block, const at::Tensor& images);
// [n, length, features] -> the same shape
at::Tensor attend(const nn::MultiheadAttention& block, const at::Tensor& x, bool training);
// [n, h, w, channels] -> the same shape
at::Tensor attend(const nn::WindowAttention& block, const at::Tensor& x, bool training);
// [n, h, w, channels] -> [n, h / 2, w / 2, 4 * channels], rounded up
at::Tensor join_patches(const at::Tensor& x);

// Returns the bias of the layer that makes queries, keys and values. In SwinV2, that of the keys is zero.
at::Tensor qkv_bias(const nn::WindowAttention& block);
// Returns the position bias that a window attention adds to its scores, [heads, tokens, tokens].
at::Tensor position_bias(const nn::WindowAttention& block);
// Returns how far the windows are shifted over an image of this (padded) height or width.
int64_t shift_along(const nn::WindowAttention& block, int64_t size);
// Returns the positions in a (padded) image of the tokens of its shifted windows: see ops::Attention.
std::vector<int64_t> window_positions(const nn::WindowAttention& block, int64_t height, int64_t width);
// Returns the mask that shifted windows add to the scores, [windows, tokens, tokens]: 0, or -100 for two tokens that
// are in one window only because the shift wraps around.
at::Tensor shift_mask(const nn::WindowAttention& block, int64_t height, int64_t width);

}  // namespace visiontorch::eager
