#pragma once

#include <ATen/core/Tensor.h>

#include "nn/transformer.h"

namespace visiontorch::eager {

// The blocks of vision transformers, with autograd. `training`: dropout.

// [n, 3, h, w] -> [n, 1 + patches, features]
at::Tensor embed(const nn::PatchEmbedding& block, const at::Tensor& images);
// [n, length, features] -> the same
at::Tensor attend(const nn::MultiheadAttention& block, const at::Tensor& x, bool training);
// [n, h, w, channels] -> the same
at::Tensor attend(const nn::WindowAttention& block, const at::Tensor& x, bool training);
// [n, h, w, channels] -> [n, h / 2, w / 2, 4 * channels], rounded up
at::Tensor join_patches(const at::Tensor& x);

// The bias of the layer that makes queries, keys and values; in SwinV2 keys have none.
at::Tensor qkv_bias(const nn::WindowAttention& block);
// What a window attention adds to its scores, [heads, tokens, tokens].
at::Tensor position_bias(const nn::WindowAttention& block);
// How far its windows are shifted over an image of this (padded) height or width.
int64_t shift_along(const nn::WindowAttention& block, int64_t size);
// What the shifted windows add to the scores, [windows, tokens, tokens]: nothing, or -100 for two tokens that are no
// neighbors in the image, which wraps around.
at::Tensor shift_mask(const nn::WindowAttention& block, int64_t height, int64_t width);

}  // namespace visiontorch::eager
