// ConvNeXt: Liu et al. 2022, arXiv:2201.03545; names and order of torchvision/models/convnext.py.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

struct Variant {
  const char* architecture;
  std::array<int64_t, 4> channels, blocks;
  double stochastic_depth;
};

// Section 3 of the paper.
const std::vector<Variant> kVariants = {
    {"convnext_tiny", {96, 192, 384, 768}, {3, 3, 9, 3}, 0.1},
    {"convnext_small", {96, 192, 384, 768}, {3, 3, 27, 3}, 0.4},
    {"convnext_base", {128, 256, 512, 1024}, {3, 3, 27, 3}, 0.5},
    {"convnext_large", {192, 384, 768, 1536}, {3, 3, 27, 3}, 0.5},
};

LayerNorm norm(int64_t channels, bool of_channels) { return {channels, 1e-6, of_channels}; }

// Without padding: the patches do not overlap.
Conv2dNormActivation patches(int64_t in, int64_t out, int64_t size) {
  return {.conv = {.in_channels = in, .out_channels = out, .kernel_size = size, .stride = size, .has_bias = true},
          .norm = {},
          .activation = {},
          .names = {"", "", ""}};
}

ResidualBranch block(int64_t channels, double layer_scale, double stochastic_depth) {
  const Conv2d depthwise{.in_channels = channels,
                         .out_channels = channels,
                         .kernel_size = 7,
                         .padding = 3,
                         .groups = channels,
                         .has_bias = true};
  return {.body = {{"block.0", Conv2dNormActivation{depthwise, {}, {}, {"", "", ""}}},
                   {"block.1", Permute{{1, 2, 0}}},
                   {"block.2", norm(channels, false)},
                   {"block", LinearActivation{Linear{channels, 4 * channels}, Activation::GELU, {"3", "4"}}},
                   {"block.5", Linear{4 * channels, channels}},
                   {"block.6", Permute{{2, 0, 1}}}},
          .shortcut = {},
          .scale_shape = {channels, 1, 1},
          .initial_scale = layer_scale,
          .stochastic_depth = stochastic_depth};
}

void redraw(Network& network, at::Generator& generator) {
  auto draw = [&](at::Tensor& weight, at::Tensor& bias) {
    trunc_normal_(weight, 0.02, generator);
    bias.zero_();
  };
  redraw_layers(network, [&](Layer layer) {
    std::visit(Overload{[&](Conv2d* conv) { draw(conv->weight, conv->bias); },
                        [&](Linear* linear) { draw(linear->weight, linear->bias); }, [](auto*) {}},
               layer);
  });
}

Network describe_convnext(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  const double layer_scale = options.number("layerScale", 1e-6);
  const double stochastic_depth = options.number("stochasticDepthProb", variant.stochastic_depth);
  int64_t count = -1, index = 0;
  for (int64_t blocks : variant.blocks) count += blocks;

  Nodes features = {
      {"0", Sequential{{{"0", patches(3, variant.channels[0], 4)}, {"1", norm(variant.channels[0], true)}}}}};
  auto next_name = [&] { return std::to_string(features.size()); };
  for (size_t stage = 0; stage < variant.blocks.size(); stage++) {
    const int64_t channels = variant.channels[stage];
    if (stage > 0) {
      const int64_t in = variant.channels[stage - 1];
      features.push_back({next_name(), Sequential{{{"0", norm(in, true)}, {"1", patches(in, channels, 2)}}}});
    }
    Nodes blocks;
    for (int64_t i = 0; i < variant.blocks[stage]; i++, index++) {
      const double probability = stochastic_depth * static_cast<double>(index) / static_cast<double>(count);
      blocks.push_back({std::to_string(i), block(channels, layer_scale, probability)});
    }
    features.push_back({next_name(), Sequential{blocks}});
  }

  // The classifier's norm belongs to the features, so that a new classifier keeps it.
  const int64_t channels = variant.channels.back();
  return {architecture,
          num_classes,
          {{"features", Sequential{features}},
           {"avgpool", AdaptiveAvgPool2d{1}},
           {"flatten", Flatten{}},
           {"classifier.0", norm(channels, false)}},
          {{"classifier.2", Linear{channels, num_classes}}},
          redraw};
}

}  // namespace

Family convnext_family() {
  Family family{"convnext", {}, {"layerScale", "stochasticDepthProb"}, "classifier.2", describe_convnext};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
