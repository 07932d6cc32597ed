#include "nn/transformer.h"

#include <ATen/ATen.h>

#include <cmath>

namespace visiontorch::nn {

namespace {

at::Tensor outlined(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
  return at::empty(sizes, at::TensorOptions(type).device(at::kMeta));
}

int64_t square_root(int64_t value) { return static_cast<int64_t>(std::sqrt(static_cast<double>(value))); }

}  // namespace

std::vector<LayerTensor> PatchEmbedding::tensors() {
  return {{"class_token", &class_token, true},
          {"conv_proj.weight", &conv.weight, true},
          {"conv_proj.bias", &conv.bias, true},
          {"encoder.pos_embedding", &positions, true, true}};
}

void PatchEmbedding::outline() {
  conv.outline();
  class_token = outlined({1, 1, conv.out_channels});
  positions = outlined({1, length(), conv.out_channels});
}

std::vector<LayerTensor> MultiheadAttention::tensors() {
  return {{"in_proj_weight", &in_proj.weight, true}, {"in_proj_bias", &in_proj.bias, true}};
}

void MultiheadAttention::outline() { in_proj.outline(); }

double WindowAttention::scale() const {
  const bool is_swin = kind == Kind::Swin || kind == Kind::SwinV2;
  return 1 / std::sqrt(static_cast<double>(is_swin ? channels / heads : channels));
}

std::vector<LayerTensor> WindowAttention::tensors() {
  const LayerTensor index = {"relative_position_index", &position_index, false};
  if (kind == Kind::SwinV2)
    return {{"logit_scale", &logit_scale, true}, {"relative_coords_table", &coordinates, false}, index};
  return {{"relative_position_bias_table", &bias_table, true}, index};
}

void WindowAttention::outline() {
  const int64_t side = 2 * window - 1;
  if (kind == Kind::SwinV2) {
    logit_scale = outlined({heads, 1, 1});
    coordinates = outlined({1, side, side, 2});
  } else {
    bias_table = outlined({side * side, heads});
  }
  const bool is_swin = kind == Kind::Swin || kind == Kind::SwinV2;
  position_index = is_swin ? outlined({tokens() * tokens()}, at::kLong) : outlined({tokens(), tokens()}, at::kLong);
}

at::Tensor WindowAttention::relative_positions() const {
  at::Tensor result = at::empty({tokens() * tokens()}, at::kLong);
  auto* index = result.mutable_data_ptr<int64_t>();
  for (int64_t query = 0; query < tokens(); query++)
    for (int64_t key = 0; key < tokens(); key++) {
      const int64_t row = query / window - key / window + window - 1, column = query % window - key % window;
      *index++ = row * (2 * window - 1) + column + window - 1;
    }
  return result;
}

// The same as in torchvision, operation by operation.
at::Tensor WindowAttention::relative_coordinates() const {
  const at::Tensor axis = at::arange(-(window - 1), window, at::kFloat);
  const at::Tensor table = at::stack(at::meshgrid({axis, axis}, "ij")).permute({1, 2, 0}).contiguous().unsqueeze(0);
  table.div_(window - 1).mul_(8);
  return at::sign(table) * at::log2(at::abs(table) + 1.0) / 3.0;
}

bool can_interpolate_positions(const at::Tensor& positions, at::IntArrayRef shape) {
  if (shape.size() != 3 || shape[0] != 1 || shape[1] < 2 || shape[2] != positions.size(2)) return false;
  const int64_t side = square_root(shape[1] - 1);
  return side * side == shape[1] - 1;
}

at::Tensor interpolate_positions(const at::Tensor& positions, int64_t length) {
  const int64_t features = positions.size(2), from = square_root(positions.size(1) - 1), to = square_root(length - 1);
  const at::Tensor grid = positions.slice(1, 1).permute({0, 2, 1}).reshape({1, features, from, from});
  const at::Tensor resized = at::upsample_bicubic2d(grid, {to, to}, /*align_corners=*/true);
  return at::cat({positions.slice(1, 0, 1), resized.reshape({1, features, to * to}).permute({0, 2, 1})}, 1);
}

}  // namespace visiontorch::nn
