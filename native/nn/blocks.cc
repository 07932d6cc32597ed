#include "nn/blocks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace visiontorch::nn {

namespace {

Conv2d conv1x1(int64_t in, int64_t out) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 1, .has_bias = true};
}

}  // namespace

Conv2dNormActivation conv_norm_activation(Conv2d conv, std::optional<Activation> activation, BatchNormOptions norm,
                                          Conv2dNormActivation::Names names) {
  const auto keep_size = [&](int64_t kernel) { return (kernel - 1) / 2 * conv.dilation; };
  conv.padding = {keep_size(conv.kernel_size.height), keep_size(conv.kernel_size.width)};
  const BatchNorm2d batch_norm{conv.out_channels, norm.eps, norm.momentum};
  return {std::move(conv), batch_norm, activation, std::move(names)};
}

SqueezeExcitation::SqueezeExcitation(int64_t channels, int64_t squeezed, Activation activation,
                                     Activation scale_activation, std::string name)
    : fc1(conv1x1(channels, squeezed)),
      fc2(conv1x1(squeezed, channels)),
      activation(activation),
      scale_activation(scale_activation),
      name(std::move(name)) {}

Shape PreactivatedConvolution::output_shape(const Shape& input) const {
  const Shape shape = convolution.output_shape(input);
  return pool ? pool->output_shape(shape) : shape;
}

Shape DenseBlock::output_shape(const Shape& input) const {
  Shape shape = input;
  for (const DenseLayer& layer : layers) shape[0] += layer.growth.conv.out_channels;
  return shape;
}

Shape Residual::output_shape(const Shape& input) const {
  Shape shape = input;
  for (const Conv2dNormActivation& part : body) shape = part.output_shape(shape);
  return shape;
}

Shape InvertedResidual::output_shape(const Shape& input) const {
  return project.output_shape(depthwise.output_shape(expand ? expand->output_shape(input) : input));
}

Shape ResidualBranch::output_shape(const Shape& input) const { return nn::output_shape(body, input); }

std::vector<LayerTensor> ResidualBranch::tensors() {
  return scale_shape.empty() ? std::vector<LayerTensor>()
                             : std::vector<LayerTensor>{{"layer_scale", &layer_scale, true}};
}

void ResidualBranch::outline() {
  if (!scale_shape.empty()) layer_scale = at::empty(scale_shape, at::TensorOptions(at::kFloat).device(at::kMeta));
}

Shape Concat::output_shape(const Shape& input) const {
  Shape result;
  for (const Node& branch : branches) {
    const Shape shape = nn::output_shape({branch}, input);
    if (result.empty()) {
      result = shape;
    } else {
      result[0] += shape[0];
      for (size_t axis = 1; axis < result.size(); axis++) result[axis] = std::min(result[axis], shape[axis]);
    }
  }
  return result;
}

Shape Sequential::output_shape(const Shape& input) const { return nn::output_shape(children, input); }

Shape output_shape(const Nodes& nodes, const Shape& input) {
  Shape shape = input;
  for (const Node& node : nodes) {
    shape = std::visit(
        Overload{[&](Activation) { return shape; }, [&](const auto& block) { return block.output_shape(shape); }},
        node.block);
  }
  return shape;
}

int64_t make_divisible(double value, int64_t divisor) {
  const int64_t result =
      std::max(divisor, static_cast<int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor);
  return static_cast<double>(result) < 0.9 * value ? result + divisor : result;
}

std::string join_name(const std::string& prefix, const std::string& name) {
  if (prefix.empty()) return name;
  return name.empty() ? prefix : prefix + "." + name;
}

}  // namespace visiontorch::nn
