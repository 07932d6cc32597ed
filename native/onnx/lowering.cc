#include "onnx/lowering.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "infer/lowering.h"

namespace visiontorch::onnx {

using nn::join_name;

Graph lower(const nn::Network& network, const nn::Quantization& quantization, int64_t height, int64_t width,
            int64_t opset) {
  nn::check_image_size(network, height, width);
  const at::NoGradGuard no_grad;
  Builder graph(opset);
  const Lowering lowering(graph, quantization);
  const char* input = "pixel_values";
  const Value features = lowering.lower(network.backbone, {input, {3, height, width}}, "");
  lowering.lower(network.classifier, features, "");
  return graph.finish(input, "logits");
}

Value Lowering::lower(const nn::Nodes& nodes, Value x, const std::string& path) const {
  for (const nn::Node& node : nodes)
    x = std::visit([&](const auto& block) { return lower(block, x, join_name(path, node.name)); }, node.block);
  return x;
}

std::string Lowering::activate(std::optional<nn::Activation> activation, const std::string& x, Path path) const {
  if (!activation) return x;
  switch (*activation) {
    case nn::Activation::ReLU: return graph_.add(path, "Relu", {x});
    case nn::Activation::ReLU6: return graph_.add(path, "Clip", {x, graph_.scalar(0), graph_.scalar(6)});
    case nn::Activation::Hardswish: return graph_.add(path, "HardSwish", {x});
    case nn::Activation::Hardsigmoid: return graph_.add(path, "HardSigmoid", {x}, {{"alpha", 1.0 / 6}, {"beta", 0.5}});
    case nn::Activation::SiLU: return graph_.add(path, "Mul", {x, graph_.add(path, "Sigmoid", {x})});
    case nn::Activation::Sigmoid: return graph_.add(path, "Sigmoid", {x});
    case nn::Activation::Tanh: return graph_.add(path, "Tanh", {x});
    case nn::Activation::GELU: {
      if (graph_.opset >= 20) return graph_.add(path, "Gelu", {x});
      // x * (1 + erf(x / sqrt(2))) * 0.5, as PyTorch exports it: ONNX Runtime knows this form.
      const std::string scaled = graph_.add(path, "Div", {x, graph_.scalar(std::numbers::sqrt2)});
      const std::string sum = graph_.add(path, "Add", {graph_.add(path, "Erf", {scaled}), graph_.scalar(1)});
      return graph_.add(path, "Mul", {graph_.add(path, "Mul", {x, sum}), graph_.scalar(0.5)});
    }
  }
  return x;
}

const nn::QuantizedLayer* Lowering::quantized(Path path) const {
  const auto found = quantization_.layers.find(path);
  return found == quantization_.layers.end() ? nullptr : &found->second;
}

std::string Lowering::round_input(const nn::QuantizedLayer& layer, const std::string& x, Path path) const {
  const std::string scale = graph_.tensor(path + ".input_scale", at::scalar_tensor(layer.input.scale, at::kFloat));
  const std::string zero =
      graph_.tensor(path + ".input_zero_point", at::scalar_tensor(layer.input.zero_point, at::kByte));
  return graph_.add(path, "DequantizeLinear", {graph_.add(path, "QuantizeLinear", {x, scale, zero}), scale, zero});
}

std::string Lowering::dequantize(const std::string& name, const at::Tensor& integers, const at::Tensor& scale,
                                 int64_t axis) const {
  const std::string scales = graph_.tensor(name + "_scale", scale);
  const std::string zeros =
      graph_.tensor(name + "_zero_point", at::zeros(scale.sizes(), at::TensorOptions(integers.scalar_type())));
  return graph_.add(name, "DequantizeLinear", {graph_.tensor(name, integers), scales, zeros}, {{"axis", axis}});
}

Lowering::Operands Lowering::operands(const at::Tensor& weight, const at::Tensor& bias, const std::string& x,
                                      Path path) const {
  const nn::QuantizedLayer* layer = quantized(path);
  if (layer == nullptr)
    return {x, graph_.tensor(path + ".weight", weight),
            bias.defined() ? graph_.tensor(path + ".bias", bias) : std::string()};
  Operands result{
      round_input(*layer, x, path), dequantize(path + ".weight", layer->weight, layer->weight_scale, 0), {}};
  // Runtimes add a bias to the sums of products of integers if it has their scale.
  const at::Tensor scale = layer->weight_scale.to(at::kDouble) * layer->input.scale;
  const at::Tensor steps = (layer->bias.to(at::kDouble) / scale).round();
  const bool fits = steps.abs().le(std::numeric_limits<int32_t>::max()).all().item<bool>();
  result.bias =
      fits ? dequantize(path + ".bias", steps.to(at::kInt), scale, 0) : graph_.tensor(path + ".bias", layer->bias);
  return result;
}

std::string Lowering::convolve(const nn::Conv2d& conv, const at::Tensor& weight, const at::Tensor& bias,
                               const std::string& x, Path path) const {
  const Operands of = operands(weight, bias, x, path);
  std::vector<std::string> inputs = {of.x, of.weight};
  if (!of.bias.empty()) inputs.push_back(of.bias);
  const auto& [kernel, padding] = std::pair(conv.kernel_size, conv.padding);
  return graph_.add(path, "Conv", std::move(inputs),
                    {{"kernel_shape", std::vector{kernel.height, kernel.width}},
                     {"strides", std::vector{conv.stride, conv.stride}},
                     {"pads", std::vector{padding.height, padding.width, padding.height, padding.width}},
                     {"dilations", std::vector{conv.dilation, conv.dilation}},
                     {"group", conv.groups}});
}

std::string Lowering::emit(const nn::Conv2dNormActivation& block, const Value& x, Path path) const {
  const ops::Affine folded = infer::fold(block);
  const std::string name = join_name(path, block.names.conv);
  return activate(block.activation, convolve(block.conv, folded.scaled(), folded.bias, x.name, name), name);
}

std::string Lowering::emit(const nn::NormActivation& block, const Value& x, Path path) const {
  return activate(block.activation, emit(block.norm, x, join_name(path, block.names.norm)), path);
}

std::string Lowering::emit(const nn::PreactivatedConvolution& block, const Value& x, Path path) const {
  const Value y = lower(block.convolution, lower(block.before, x, path), path);
  return block.pool ? emit(*block.pool, y, join_name(path, "pool")) : y.name;
}

std::string Lowering::emit(const nn::DenseBlock& block, const Value& x, Path path) const {
  Value features = x;
  for (const nn::DenseLayer& layer : block.layers) {
    const std::string name = join_name(path, layer.name);
    const Value growth = lower(layer.growth, lower(layer.hidden, features, name), name);
    features.name = graph_.add(path, "Concat", {features.name, growth.name}, {{"axis", int64_t{1}}});
    features.shape[0] += growth.shape[0];
  }
  return features.name;
}

std::string Lowering::emit(const nn::LinearActivation& block, const Value& x, Path path) const {
  return activate(block.activation, emit(block.linear, x, join_name(path, block.names.linear)), path);
}

std::string Lowering::emit(const nn::BatchNorm2d& norm, const Value& x, Path path) const {
  auto tensor = [&](const char* name, const at::Tensor& values) { return graph_.tensor(path + name, values); };
  return graph_.add(path, "BatchNormalization",
                    {x.name, tensor(".weight", norm.weight), tensor(".bias", norm.bias),
                     tensor(".running_mean", norm.running_mean), tensor(".running_var", norm.running_var)},
                    {{"epsilon", norm.eps}});
}

std::string Lowering::multiply(const at::Tensor& weight, const at::Tensor& bias, const std::string& x,
                               Path path) const {
  if (const nn::QuantizedLayer* layer = quantized(path)) {
    const std::string weights = dequantize(path + ".weight", layer->weight.t(), layer->weight_scale, 1);
    const std::string y = graph_.add(path, "MatMul", {round_input(*layer, x, path), weights});
    return graph_.add(path, "Add", {y, graph_.tensor(path + ".bias", layer->bias)});
  }
  const std::string y = graph_.add(path, "MatMul", {x, graph_.tensor(path + ".weight", weight.t())});
  return bias.defined() ? graph_.add(path, "Add", {y, graph_.tensor(path + ".bias", bias)}) : y;
}

std::string Lowering::emit(const nn::Linear& linear, const Value& x, Path path) const {
  if (x.shape.size() > 1) return multiply(linear.weight, linear.bias, x.name, path);
  const Operands of = operands(linear.weight, linear.has_bias ? linear.bias : at::Tensor(), x.name, path);
  std::vector<std::string> inputs = {of.x, of.weight};
  if (!of.bias.empty()) inputs.push_back(of.bias);
  return graph_.add(path, "Gemm", std::move(inputs), {{"transB", int64_t{1}}});
}

std::string Lowering::emit(const nn::LayerNorm& norm, const Value& x, Path path) const {
  const std::string in = norm.of_channels ? graph_.transpose(path, x.name, {0, 2, 3, 1}) : x.name;
  const std::string y =
      graph_.add(path, "LayerNormalization",
                 {in, graph_.tensor(path + ".weight", norm.weight), graph_.tensor(path + ".bias", norm.bias)},
                 {{"axis", int64_t{-1}}, {"epsilon", norm.eps}});
  return norm.of_channels ? graph_.transpose(path, y, {0, 3, 1, 2}) : y;
}

namespace {

// The attributes of a square window.
template <class Pool>
Attributes window_of(const Pool& pool) {
  return {{"kernel_shape", std::vector<int64_t>(2, pool.kernel_size)},
          {"strides", std::vector<int64_t>(2, pool.stride)},
          {"pads", std::vector<int64_t>(4, pool.padding)}};
}

// Returns the matrix [to, from] of the means that PyTorch's adaptive_avg_pool2d computes along one axis.
at::Tensor adaptive_means(int64_t from, int64_t to) {
  at::Tensor means = at::zeros({to, from});
  for (int64_t i = 0; i < to; i++) {
    const int64_t begin = i * from / to, end = ((i + 1) * from + to - 1) / to;
    means[i].slice(0, begin, end).fill_(1.0 / static_cast<double>(end - begin));
  }
  return means;
}

}  // namespace

std::string Lowering::emit(const nn::MaxPool2d& pool, const Value& x, Path path) const {
  Attributes attributes = window_of(pool);
  attributes.emplace_back("ceil_mode", int64_t{pool.ceil_mode});
  return graph_.add(path, "MaxPool", {x.name}, std::move(attributes));
}

std::string Lowering::emit(const nn::AvgPool2d& pool, const Value& x, Path path) const {
  Attributes attributes = window_of(pool);
  attributes.emplace_back("count_include_pad", int64_t{1});
  return graph_.add(path, "AveragePool", {x.name}, std::move(attributes));
}

std::string Lowering::emit(const nn::AdaptiveAvgPool2d& pool, const Value& x, Path path) const {
  const int64_t size = pool.output_size, height = x.shape[1], width = x.shape[2];
  if (size == 1) return graph_.add(path, "GlobalAveragePool", {x.name});
  if (height == size && width == size) return x.name;
  const std::string rows = graph_.tensor(path + "/rows", adaptive_means(height, size));
  const std::string columns = graph_.tensor(path + "/columns", adaptive_means(width, size).t());
  return graph_.add(path, "MatMul", {graph_.add(path, "MatMul", {rows, x.name}), columns});
}

std::string Lowering::emit(const nn::Flatten&, const Value& x, Path path) const {
  return graph_.add(path, "Flatten", {x.name}, {{"axis", int64_t{1}}});
}

std::string Lowering::emit(const nn::Permute& block, const Value& x, Path path) const {
  std::vector<int64_t> axes = {0};
  for (int64_t axis : block.axes) axes.push_back(axis + 1);
  return graph_.transpose(path, x.name, axes);
}

std::string Lowering::emit(const nn::ChannelSlice& block, const Value& x, Path path) const {
  return graph_.slice(path, x.name, 1, block.begin, block.begin + block.count);
}

std::string Lowering::emit(const nn::ChannelShuffle& block, const Value& x, Path path) const {
  const int64_t channels = x.shape[0], height = x.shape[1], width = x.shape[2];
  const std::string split = graph_.reshape(path, x.name, {block.groups, channels / block.groups, height, width});
  return graph_.reshape(path, graph_.transpose(path, split, {0, 2, 1, 3, 4}), x.shape);
}

std::string Lowering::emit(const nn::ChannelAffine& block, const Value& x, Path path) const {
  auto of_channels = [&](const char* name, const std::array<double, 3>& values) {
    return graph_.tensor(path + name, at::tensor(at::ArrayRef<double>(values)).view({3, 1, 1}));
  };
  const std::string scaled = graph_.add(path, "Mul", {x.name, of_channels("/scale", block.scale)});
  return graph_.add(path, "Add", {scaled, of_channels("/shift", block.shift)});
}

std::string Lowering::emit(const nn::SqueezeExcitation& block, const Value& x, Path path) const {
  const std::string name = join_name(path, block.name);
  auto layer = [&](const nn::Conv2d& conv, const char* part, nn::Activation activation, const std::string& in) {
    const std::string of = join_name(name, part);
    return activate(activation, convolve(conv, conv.weight, conv.bias, in, of), of);
  };
  const std::string means = graph_.add(name, "GlobalAveragePool", {x.name});
  const std::string hidden = layer(block.fc1, "fc1", block.activation, means);
  return graph_.add(name, "Mul", {x.name, layer(block.fc2, "fc2", block.scale_activation, hidden)});
}

std::string Lowering::emit(const nn::Concat& block, const Value& x, Path path) const {
  std::vector<std::string> parts;
  for (const nn::Node& branch : block.branches) parts.push_back(lower(nn::Nodes{branch}, x, path).name);
  return graph_.add(path, "Concat", std::move(parts), {{"axis", int64_t{1}}});
}

std::string Lowering::emit(const nn::Residual& block, const Value& x, Path path) const {
  Value y = x;
  for (const nn::Conv2dNormActivation& part : block.body) {
    if (block.excitation && &part == &block.body.back()) y = lower(*block.excitation, y, path);
    y = lower(part, y, path);
  }
  const std::string shortcut = block.downsample ? emit(*block.downsample, x, path) : x.name;
  return activate(block.activation, graph_.add(path, "Add", {y.name, shortcut}), path);
}

std::string Lowering::emit(const nn::InvertedResidual& block, const Value& x, Path path) const {
  Value y = block.expand ? lower(*block.expand, x, path) : x;
  y = lower(block.depthwise, y, path);
  if (block.excitation) y = lower(*block.excitation, y, path);
  y = lower(block.project, y, path);
  return block.residual ? graph_.add(path, "Add", {y.name, x.name}) : y.name;
}

std::string Lowering::emit(const nn::ResidualBranch& block, const Value& x, Path path) const {
  std::string y = lower(block.body, x, path).name;
  if (block.layer_scale.defined())
    y = graph_.add(path, "Mul", {y, graph_.tensor(join_name(path, "layer_scale"), block.layer_scale)});
  return graph_.add(path, "Add", {lower(block.shortcut, x, path).name, y});
}

}  // namespace visiontorch::onnx
