#include "nn/init.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

namespace visiontorch::nn {

namespace {

// torch.nn.Conv2d and torch.nn.Linear, reset_parameters(): kaiming_uniform_(a = sqrt(5)) for the weight, U(-b, b) with
// b = 1 / sqrt(fan_in) for the bias. Written in the operations of torch/nn/init.py: another order would round
// otherwise.
void draw_default(at::Tensor& weight, at::Tensor& bias, at::Generator& generator) {
  const double a = std::sqrt(5.0);
  const double fan_in = static_cast<double>(weight.numel() / weight.size(0));
  const double gain = std::sqrt(2.0 / (1 + a * a));
  const double bound = std::sqrt(3.0) * (gain / std::sqrt(fan_in));
  weight = at::empty(weight.sizes(), at::kFloat).uniform_(-bound, bound, generator);
  if (bias.defined()) {
    const double bias_bound = 1 / std::sqrt(fan_in);
    bias = at::empty(bias.sizes(), at::kFloat).uniform_(-bias_bound, bias_bound, generator);
  }
}

// In the order in which torchvision constructs the modules: a block's downsample layers come before the block.
void draw_defaults(Nodes& nodes, at::Generator& generator) {
  for (Node& node : nodes) {
    if (auto* conv = std::get_if<Conv2d>(&node.op)) {
      draw_default(conv->weight, conv->bias, generator);
    } else if (auto* linear = std::get_if<Linear>(&node.op)) {
      draw_default(linear->weight, linear->bias, generator);
    } else if (auto* sequential = std::get_if<Sequential>(&node.op)) {
      draw_defaults(sequential->children, generator);
    } else if (auto* residual = std::get_if<Residual>(&node.op)) {
      draw_defaults(residual->shortcut, generator);
      draw_defaults(residual->body, generator);
    }
  }
}

// kaiming_normal_(mode='fan_out', nonlinearity='relu'); MobileNetV2's leaky_relu with a = 0 has the same gain.
void draw_kaiming_normal(at::Tensor& weight, at::Generator& generator) {
  const double fan_out = static_cast<double>(weight.size(0) * weight.size(2) * weight.size(3));
  weight.normal_(0, std::sqrt(2.0) / std::sqrt(fan_out), generator);
}

// The last batch norm of every residual branch starts at zero, so that each block starts as the identity
// (Goyal et al. 2017, arXiv:1706.02677; torchvision's zero_init_residual).
void zero_residuals(Nodes& nodes) {
  for (Node& node : nodes) {
    if (auto* sequential = std::get_if<Sequential>(&node.op)) zero_residuals(sequential->children);
    if (auto* residual = std::get_if<Residual>(&node.op))
      std::get<BatchNorm2d>(residual->body.back().op).weight.zero_();
  }
}

}  // namespace

void initialize_default(Nodes& nodes, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  draw_defaults(nodes, generator);
}

void initialize(Network& network, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  draw_defaults(network.backbone, generator);
  draw_defaults(network.classifier, generator);

  const bool draws_linear = network.initialization == Initialization::VGG ||  //
                            network.initialization == Initialization::MobileNetV2;
  auto redraw = [&](const std::string&, Node& node) {
    if (auto* conv = std::get_if<Conv2d>(&node.op)) {
      draw_kaiming_normal(conv->weight, generator);
      if (conv->has_bias) conv->bias.zero_();
    } else if (auto* linear = std::get_if<Linear>(&node.op); linear && draws_linear) {
      linear->weight.normal_(0, 0.01, generator);
      linear->bias.zero_();
    }
  };
  for_each_leaf(network.backbone, "", redraw);
  for_each_leaf(network.classifier, "", redraw);
  if (network.initialization == Initialization::ResNetZeroResidual) zero_residuals(network.backbone);
}

}  // namespace visiontorch::nn
