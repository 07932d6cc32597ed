#include "eager/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "autograd/attention.h"

namespace visiontorch::eager {

namespace {

using Kind = nn::WindowAttention::Kind;

at::Tensor linear(const nn::Linear& layer, const at::Tensor& x) {
  return layer.has_bias ? at::linear(x, layer.weight, layer.bias) : at::linear(x, layer.weight);
}

// [n, length, 3 * features] -> queries, keys and values, [3, n, heads, length, features / heads]
at::Tensor split_heads(const at::Tensor& qkv, int64_t heads) {
  const int64_t n = qkv.size(0), length = qkv.size(1), features = qkv.size(2) / 3;
  return qkv.reshape({n, length, 3, heads, features / heads}).permute({2, 0, 3, 1, 4});
}

// [n, heads, length, features / heads] -> [n, length, features]
at::Tensor join_heads(const at::Tensor& x) { return x.transpose(1, 2).flatten(2); }

// torch.nn.functional.normalize() over the last axis.
at::Tensor normalize(const at::Tensor& x) {
  return x / at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, /*keepdim=*/true).clamp_min(1e-12);
}

// [n, h, w, channels] -> [n * windows, tokens, channels]
at::Tensor to_windows(const nn::WindowAttention& block, const at::Tensor& x) {
  const int64_t n = x.size(0), rows = x.size(1) / block.window, columns = x.size(2) / block.window;
  const at::Tensor split =
      block.kind == Kind::Grid
          ? x.reshape({n, block.window, rows, block.window, columns, -1}).permute({0, 2, 4, 1, 3, 5})
          : x.reshape({n, rows, block.window, columns, block.window, -1}).permute({0, 1, 3, 2, 4, 5});
  return split.reshape({n * rows * columns, block.tokens(), -1});
}

at::Tensor from_windows(const nn::WindowAttention& block, const at::Tensor& x, at::IntArrayRef sizes) {
  const at::Tensor split =
      x.reshape({sizes[0], sizes[1] / block.window, sizes[2] / block.window, block.window, block.window, -1});
  return split.permute(block.kind == Kind::Grid ? at::IntArrayRef{0, 3, 1, 4, 2, 5} : at::IntArrayRef{0, 1, 3, 2, 4, 5})
      .reshape(sizes);
}

}  // namespace

at::Tensor embed(const nn::PatchEmbedding& block, const at::Tensor& images) {
  const nn::Conv2d& conv = block.conv;
  const at::Tensor patches = at::conv2d(images, conv.weight, conv.bias, conv.stride).flatten(2).transpose(1, 2);
  const at::Tensor class_token = block.class_token.expand({images.size(0), -1, -1});
  return at::cat({class_token.to(patches.scalar_type()), patches}, 1) + block.positions;
}

at::Tensor attend(const nn::MultiheadAttention& block, const at::Tensor& x, bool training) {
  const int64_t depth = block.features / block.heads;
  const at::Tensor tokens = linear(block.in_proj, x);
  if (autograd::supports_attention(tokens, depth) && (!training || block.dropout == 0)) {
    ops::Attention::Settings settings{
        .heads = block.heads,
        .scales = std::vector<float>(block.heads, 1 / std::sqrt(static_cast<float>(depth))),
        .positions = std::vector<int64_t>(x.size(1)),
        .queries = block.only_class_token ? 1 : 0};
    std::iota(settings.positions.begin(), settings.positions.end(), 0);
    return linear(block.out_proj, autograd::attention(tokens, {}, settings));
  }
  const at::Tensor qkv = split_heads(tokens, block.heads);
  const at::Tensor queries = block.only_class_token ? qkv[0].narrow(2, 0, 1) : qkv[0];
  const at::Tensor y = at::scaled_dot_product_attention(queries, qkv[1], qkv[2], {}, training ? block.dropout : 0.0);
  return linear(block.out_proj, join_heads(y));
}

at::Tensor qkv_bias(const nn::WindowAttention& block) {
  const at::Tensor& bias = block.qkv.bias;
  if (block.kind != Kind::SwinV2) return bias;
  const int64_t channels = block.channels;
  return at::cat({bias.slice(0, 0, channels), at::zeros({channels}, bias.options()), bias.slice(0, 2 * channels)});
}

at::Tensor position_bias(const nn::WindowAttention& block) {
  at::Tensor table = block.bias_table;
  if (block.kind == Kind::SwinV2) {
    const at::Tensor coordinates = block.relative_coordinates().to(block.coordinates.device()).flatten(0, 2);
    table = linear(block.bias_out, at::relu(linear(block.bias_hidden, coordinates)));
  }
  const at::Tensor bias = table.index_select(0, block.relative_positions().to(table.device()))
                              .view({block.tokens(), block.tokens(), block.heads})
                              .permute({2, 0, 1});
  return block.kind == Kind::SwinV2 ? 16 * at::sigmoid(bias) : bias;
}

int64_t shift_along(const nn::WindowAttention& block, int64_t size) { return block.window >= size ? 0 : block.shift; }

at::Tensor shift_mask(const nn::WindowAttention& block, int64_t height, int64_t width) {
  // For each row or column: 0 outside of the last window, 1 inside, and 2 if the shift wrapped it around.
  auto region = [&](int64_t i, int64_t size) {
    const int64_t shift = shift_along(block, size);
    return i < size - block.window ? 0 : i < size - shift ? 1 : 2;
  };
  at::Tensor regions = at::empty({1, height, width, 1}, at::kFloat);
  auto* values = regions.mutable_data_ptr<float>();
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      values[y * width + x] = static_cast<float>(3 * region(y, height) + region(x, width));
  const at::Tensor windows = to_windows(block, regions).squeeze(2);
  return (windows.unsqueeze(1) != windows.unsqueeze(2)).to(at::kFloat) * -100.0;
}

std::vector<int64_t> window_positions(const nn::WindowAttention& block, int64_t height, int64_t width) {
  const int64_t window = block.window, rows = height / window, columns = width / window;
  const int64_t down = shift_along(block, height), across = shift_along(block, width);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < rows * columns; i++)
    for (int64_t token = 0; token < block.tokens(); token++) {
      const int64_t row = i / columns, column = i % columns, in_row = token / window, in_column = token % window;
      const int64_t y = block.kind == Kind::Grid ? in_row * rows + row : (row * window + in_row + down) % height;
      const int64_t x =
          block.kind == Kind::Grid ? in_column * columns + column : (column * window + in_column + across) % width;
      positions.push_back(y * width + x);
    }
  return positions;
}

at::Tensor attend(const nn::WindowAttention& block, const at::Tensor& x, bool training) {
  const int64_t height = x.size(1), width = x.size(2), window = block.window;
  const int64_t right = (window - width % window) % window, bottom = (window - height % window) % window;
  at::Tensor image = right + bottom > 0 ? at::constant_pad_nd(x, {0, 0, 0, right, 0, bottom}) : x;
  const int64_t down = shift_along(block, image.size(1)), across = shift_along(block, image.size(2));
  if (autograd::supports_attention(x, block.channels / block.heads) && block.kind != Kind::SwinV2 &&
      (!training || block.dropout == 0)) {
    ops::Attention::Settings settings{.heads = block.heads,
                                      .scales = std::vector<float>(block.heads, static_cast<float>(block.scale())),
                                      .positions = window_positions(block, image.size(1), image.size(2)),
                                      .windows = image.size(1) * image.size(2) / block.tokens()};
    if (down + across > 0) settings.mask = shift_mask(block, image.size(1), image.size(2));
    const at::Tensor y = autograd::attention(linear(block.qkv, image), position_bias(block), settings);
    return linear(block.proj, y).slice(1, 0, height).slice(2, 0, width);
  }
  if (down + across > 0) image = at::roll(image, {-down, -across}, {1, 2});
  const std::vector<int64_t> sizes = image.sizes().vec();

  const at::Tensor qkv =
      split_heads(at::linear(to_windows(block, image), block.qkv.weight, qkv_bias(block)), block.heads);
  const at::Tensor queries = qkv[0], keys = qkv[1], values = qkv[2];
  at::Tensor scores;
  if (block.kind == Kind::SwinV2) {
    const at::Tensor scale = block.logit_scale.clamp_max(std::log(100.0)).exp();
    scores = normalize(queries).matmul(normalize(keys).transpose(-2, -1)) * scale;
  } else {
    scores = (queries * block.scale()).matmul(keys.transpose(-2, -1));
  }
  scores = scores + position_bias(block);
  if (down + across > 0) {
    const at::Tensor mask = shift_mask(block, sizes[1], sizes[2]).to(scores.device());
    scores =
        (scores.view({x.size(0), -1, block.heads, block.tokens(), block.tokens()}) + mask.unsqueeze(1)).flatten(0, 1);
  }
  const at::Tensor weights = at::dropout(at::softmax(scores, -1), block.dropout, training);
  at::Tensor y = from_windows(block, linear(block.proj, join_heads(weights.matmul(values))), sizes);
  if (down + across > 0) y = at::roll(y, {down, across}, {1, 2});
  return y.slice(1, 0, height).slice(2, 0, width);
}

at::Tensor join_patches(const at::Tensor& x) {
  const int64_t right = x.size(2) % 2, bottom = x.size(1) % 2;
  const at::Tensor padded = right + bottom > 0 ? at::constant_pad_nd(x, {0, 0, 0, right, 0, bottom}) : x;
  auto part = [&](int64_t row, int64_t column) {
    return padded.slice(1, row, std::nullopt, 2).slice(2, column, std::nullopt, 2);
  };
  return at::cat({part(0, 0), part(1, 0), part(0, 1), part(1, 1)}, -1);
}

}  // namespace visiontorch::eager
