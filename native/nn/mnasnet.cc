// MNASNet, variant B1: Tan et al. 2018, arXiv:1807.11626; names and order of torchvision/models/mnasnet.py.
#include <cmath>
#include <map>

#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

const std::map<std::string, double> kAlphas = {
    {"mnasnet0_5", 0.5}, {"mnasnet0_75", 0.75}, {"mnasnet1_0", 1.0}, {"mnasnet1_3", 1.3}};

constexpr BatchNormOptions kNorm{.momentum = 1 - 0.9997};

struct Stack {
  int64_t out, kernel, stride, expansion, repeats;
};
constexpr Stack kStacks[] = {{24, 3, 2, 3, 3}, {40, 5, 2, 3, 3},  {80, 5, 2, 6, 3},
                             {96, 3, 1, 6, 2}, {192, 5, 2, 6, 4}, {320, 3, 1, 6, 1}};

// The block's layers are `first`, `first` + 1, ... of the module `prefix`.
Conv2dNormActivation conv_norm(Conv2d conv, std::optional<Activation> activation, const std::string& prefix,
                               int first) {
  auto name = [&](int index) { return prefix + std::to_string(first + index); };
  return conv_norm_activation(std::move(conv), activation, kNorm, {name(0), name(1), name(2)});
}

InvertedResidual inverted_residual(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t expansion) {
  const int64_t hidden = in * expansion;
  return {
      .expand =
          conv_norm({.in_channels = in, .out_channels = hidden, .kernel_size = 1}, Activation::ReLU, "layers.", 0),
      .depthwise = conv_norm(
          {.in_channels = hidden, .out_channels = hidden, .kernel_size = kernel, .stride = stride, .groups = hidden},
          Activation::ReLU, "layers.", 3),
      .project = conv_norm({.in_channels = hidden, .out_channels = out, .kernel_size = 1}, std::nullopt, "layers.", 6),
      .residual = in == out && stride == 1};
}

// Initializes the linear layer with kaiming_uniform_(mode='fan_out', nonlinearity='sigmoid').
void redraw(Network& network, at::Generator& generator) {
  redraw_normal(network, std::nullopt, generator);
  redraw_layers(network, [&](Layer layer) {
    auto* linear = std::get_if<Linear*>(&layer);
    if (!linear) return;
    const double bound = std::sqrt(3.0) * (1.0 / std::sqrt(static_cast<double>((*linear)->out_features)));
    (*linear)->weight.uniform_(-bound, bound, generator);
    (*linear)->bias.zero_();
  });
}

Network describe_mnasnet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const double alpha = kAlphas.at(architecture);
  auto scaled = [&](int64_t channels) { return make_divisible(static_cast<double>(channels) * alpha, 8); };

  constexpr int64_t kLast = 1280;
  const int64_t stem = scaled(32);
  int64_t channels = scaled(16);
  Nodes layers = {
      {"", conv_norm({.in_channels = 3, .out_channels = stem, .kernel_size = 3, .stride = 2}, Activation::ReLU, "", 0)},
      {"",
       InvertedResidual{
           .depthwise = conv_norm({.in_channels = stem, .out_channels = stem, .kernel_size = 3, .groups = stem},
                                  Activation::ReLU, "", 3),
           .project = conv_norm({.in_channels = stem, .out_channels = channels, .kernel_size = 1}, std::nullopt, "", 6),
           .residual = false}}};
  int index = 8;
  for (const Stack& stack : kStacks) {
    Nodes blocks;
    for (int64_t i = 0; i < stack.repeats; i++) {
      const int64_t out = scaled(stack.out), stride = i == 0 ? stack.stride : 1;
      blocks.push_back({std::to_string(i), inverted_residual(channels, out, stack.kernel, stride, stack.expansion)});
      channels = out;
    }
    layers.push_back({std::to_string(index++), Sequential{blocks}});
  }
  layers.push_back(
      {"", conv_norm({.in_channels = channels, .out_channels = kLast, .kernel_size = 1}, Activation::ReLU, "", index)});

  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = {{"layers", Sequential{layers}}, {"avgpool", AdaptiveAvgPool2d{1}}, {"flatten", Flatten{}}},
          .classifier = {{"classifier.0", Dropout{options.number("dropout", 0.2)}},
                         {"classifier.1", Linear{kLast, num_classes}}},
          .redraw = redraw,
          .version = 2};
}

}  // namespace

Family mnasnet_family() {
  Family family{"mnasnet", {}, {"dropout"}, "classifier.1", describe_mnasnet};
  for (const auto& [architecture, alpha] : kAlphas) family.architectures.push_back(architecture);
  return family;
}

}  // namespace visiontorch::nn
