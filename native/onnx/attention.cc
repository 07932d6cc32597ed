// The blocks of vision transformers. eager/attention.cc computes the same with PyTorch.
#include <ATen/ATen.h>

#include <cmath>

#include "eager/attention.h"
#include "onnx/lowering.h"

namespace visiontorch::onnx {

using nn::join_name;
using Kind = nn::WindowAttention::Kind;

namespace {

// The queries, keys and values, each [n, heads, length, features / heads].
struct Heads {
  std::string queries, keys, values;
};

// qkv: [n, length, 3 * features]
Heads split_heads(Builder& graph, const std::string& qkv, int64_t length, int64_t features, int64_t heads,
                  const std::string& path) {
  const std::string split = graph.reshape(path, qkv, {length, 3, heads, features / heads});
  const std::string ordered = graph.transpose(path, split, {2, 0, 3, 1, 4});
  auto part = [&](int64_t index) {
    return graph.add(path, "Squeeze", {graph.slice(path, ordered, 0, index, index + 1), graph.integers({0})});
  };
  return {part(0), part(1), part(2)};
}

// [n, heads, length, features / heads] -> [n, length, features]
std::string join_heads(Builder& graph, const std::string& x, int64_t length, int64_t features,
                       const std::string& path) {
  return graph.reshape(path, graph.transpose(path, x, {0, 2, 1, 3}), {length, features});
}

std::string product(Builder& graph, const std::string& queries, const std::string& keys, const std::string& path) {
  return graph.add(path, "MatMul", {queries, graph.transpose(path, keys, {0, 1, 3, 2})});
}

std::string softmax(Builder& graph, const std::string& scores, const std::string& path) {
  return graph.add(path, "Softmax", {scores}, {{"axis", int64_t{-1}}});
}

// torch.nn.functional.normalize() over the last axis.
std::string normalize(Builder& graph, const std::string& x, const std::string& path) {
  const std::string squares = graph.add(path, "ReduceSum", {graph.add(path, "Mul", {x, x}), graph.integers({-1})});
  const std::string norm = graph.add(path, "Sqrt", {squares});
  return graph.add(path, "Div", {x, graph.add(path, "Max", {norm, graph.tensor(path + "/least", at::tensor(1e-12f))})});
}

// Rotates the values along an axis of this size by so many places towards its start.
std::string roll(Builder& graph, const std::string& x, int64_t axis, int64_t size, int64_t places,
                 const std::string& path) {
  if (places == 0) return x;
  return graph.add(path, "Concat", {graph.slice(path, x, axis, places, size), graph.slice(path, x, axis, 0, places)},
                   {{"axis", axis}});
}

}  // namespace

std::string Lowering::emit(const nn::PatchEmbedding& block, const Value& x, Path path) const {
  const nn::Conv2d& conv = block.conv;
  const std::string image = convolve(conv, conv.weight, conv.bias, x.name, join_name(path, "conv_proj"));
  const std::string rows = graph_.reshape(path, image, {conv.out_channels, block.length() - 1});
  const std::string patches = graph_.transpose(path, rows, {0, 2, 1});
  // The class token starts as a row of zeros and is added with the positions, so it need not be copied for each image
  // of the batch.
  const std::string tokens = graph_.add(path, "Pad", {patches, graph_.integers({0, 1, 0, 0, 0, 0})});
  at::Tensor positions = block.positions.detach().clone();
  positions.select(1, 0).add_(block.class_token.select(1, 0));
  return graph_.add(path, "Add", {tokens, graph_.tensor(join_name(path, "positions"), positions)});
}

std::string Lowering::emit(const nn::ClassToken&, const Value& x, Path path) const {
  return graph_.add(path, "Squeeze", {graph_.slice(path, x.name, 1, 0, 1), graph_.integers({1})});
}

std::string Lowering::emit(const nn::MultiheadAttention& block, const Value& x, Path path) const {
  const int64_t length = x.shape[0], features = block.features;
  const std::string qkv = multiply(block.in_proj.weight, block.in_proj.bias, x.name, join_name(path, "in_proj"));
  const auto [queries, keys, values] = split_heads(graph_, qkv, length, features, block.heads, path);
  const double scale = 1 / std::sqrt(static_cast<double>(features / block.heads));
  const std::string scaled = graph_.add(path, "Mul", {queries, graph_.scalar(scale)});
  const std::string weights = softmax(graph_, product(graph_, scaled, keys, path), path);
  const std::string y = graph_.add(path, "MatMul", {weights, values});
  return multiply(block.out_proj.weight, block.out_proj.bias, join_heads(graph_, y, length, features, path),
                  join_name(path, "out_proj"));
}

// [n, h, w, channels]
std::string Lowering::pad_bottom_right(const std::string& x, int64_t bottom, int64_t right, Path path) const {
  if (bottom + right == 0) return x;
  return graph_.add(path, "Pad", {x, graph_.integers({0, 0, 0, 0, 0, bottom, right, 0})});
}

std::string Lowering::emit(const nn::WindowAttention& block, const Value& x, Path path) const {
  const int64_t window = block.window, tokens = block.tokens(), channels = block.channels, heads = block.heads;
  auto padded = [&](int64_t size) { return (size + window - 1) / window * window; };
  const int64_t height = padded(x.shape[0]), width = padded(x.shape[1]);
  const int64_t rows = height / window, columns = width / window;
  const int64_t down = eager::shift_along(block, height), across = eager::shift_along(block, width);
  const bool is_grid = block.kind == Kind::Grid;

  std::string image = pad_bottom_right(x.name, height - x.shape[0], width - x.shape[1], path);
  image = roll(graph_, roll(graph_, image, 1, height, down, path), 2, width, across, path);
  const nn::Shape split =
      is_grid ? nn::Shape{window, rows, window, columns, channels} : nn::Shape{rows, window, columns, window, channels};
  const std::string windows = graph_.transpose(path, graph_.reshape(path, image, split),
                                               is_grid ? nn::Shape{0, 2, 4, 1, 3, 5} : nn::Shape{0, 1, 3, 2, 4, 5});
  const std::string qkv = multiply(block.qkv.weight, eager::qkv_bias(block),
                                   graph_.reshape(path, windows, {tokens, channels}), join_name(path, block.names.qkv));

  const auto [queries, keys, values] = split_heads(graph_, qkv, tokens, channels, heads, path);
  std::string scores;
  if (block.kind == Kind::SwinV2) {
    const at::Tensor scale = block.logit_scale.clamp_max(std::log(100.0)).exp();
    const std::string cosines = product(graph_, normalize(graph_, queries, path), normalize(graph_, keys, path), path);
    scores = graph_.add(path, "Mul", {cosines, graph_.tensor(join_name(path, "logit_scale"), scale)});
  } else {
    scores = product(graph_, graph_.add(path, "Mul", {queries, graph_.scalar(block.scale())}), keys, path);
  }
  const std::string bias = graph_.tensor(join_name(path, "position_bias"), eager::position_bias(block));
  scores = graph_.add(path, "Add", {scores, bias});
  if (down + across > 0) {
    const at::Tensor mask = eager::shift_mask(block, height, width).unsqueeze(1);
    const std::string of_windows = graph_.reshape(path, scores, {rows * columns, heads, tokens, tokens});
    const std::string masked = graph_.add(path, "Add", {of_windows, graph_.tensor(join_name(path, "mask"), mask)});
    scores = graph_.reshape(path, masked, {heads, tokens, tokens});
  }
  const std::string y = graph_.add(path, "MatMul", {softmax(graph_, scores, path), values});
  const std::string projected =
      multiply(block.proj.weight, block.proj.bias, join_heads(graph_, y, tokens, channels, path),
               join_name(path, block.names.proj));

  const std::string joined =
      graph_.transpose(path, graph_.reshape(path, projected, {rows, columns, window, window, channels}),
                       is_grid ? nn::Shape{0, 3, 1, 4, 2, 5} : nn::Shape{0, 1, 3, 2, 4, 5});
  image = graph_.reshape(path, joined, {height, width, channels});
  // Rotates them back; a shift of 0 stays 0.
  image = roll(graph_, image, 1, height, down == 0 ? 0 : height - down, path);
  image = roll(graph_, image, 2, width, across == 0 ? 0 : width - across, path);
  if (height > x.shape[0]) image = graph_.slice(path, image, 1, 0, x.shape[0]);
  return width > x.shape[1] ? graph_.slice(path, image, 2, 0, x.shape[1]) : image;
}

std::string Lowering::emit(const nn::PatchMerging& block, const Value& x, Path path) const {
  const int64_t height = x.shape[0], width = x.shape[1];
  const std::string padded = pad_bottom_right(x.name, height % 2, width % 2, path);
  auto part = [&](int64_t row, int64_t column) {
    return graph_.add(path, "Slice",
                      {padded, graph_.integers({row, column}), graph_.integers({height + 1, width + 1}),
                       graph_.integers({1, 2}), graph_.integers({2, 2})});
  };
  const std::string joined =
      graph_.add(path, "Concat", {part(0, 0), part(1, 0), part(0, 1), part(1, 1)}, {{"axis", int64_t{-1}}});
  const nn::Shape merged = {(height + 1) / 2, (width + 1) / 2, 4 * block.channels};
  auto reduce = [&](const std::string& in) {
    return multiply(block.reduction.weight, {}, in, join_name(path, "reduction"));
  };
  const std::string norm = join_name(path, "norm");
  return block.norm_first ? reduce(emit(block.norm, {joined, merged}, norm))
                          : emit(block.norm, {reduce(joined), merged}, norm);
}

}  // namespace visiontorch::onnx
