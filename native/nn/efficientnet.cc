// EfficientNet: Tan & Le 2019, arXiv:1905.11946; EfficientNetV2: Tan & Le 2021, arXiv:2104.00298. Names and order of
// torchvision/models/efficientnet.py.
#include <algorithm>
#include <cmath>

#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

// A row of table 1 of the first paper, or of table 4 of the second.
struct Stage {
  bool fused;  // FusedMBConv: one convolution replaces the expansion and the depthwise convolution
  int64_t expansion, kernel, stride, in, out, layers;
};

using Stages = std::vector<Stage>;
constexpr bool kMBConv = false, kFused = true;

const Stages kB0 = {
    {kMBConv, 1, 3, 1, 32, 16, 1},   {kMBConv, 6, 3, 2, 16, 24, 2},  {kMBConv, 6, 5, 2, 24, 40, 2},
    {kMBConv, 6, 3, 2, 40, 80, 3},   {kMBConv, 6, 5, 1, 80, 112, 3}, {kMBConv, 6, 5, 2, 112, 192, 4},
    {kMBConv, 6, 3, 1, 192, 320, 1},
};
const Stages kV2S = {
    {kFused, 1, 3, 1, 24, 24, 2},   {kFused, 4, 3, 2, 24, 48, 4},    {kFused, 4, 3, 2, 48, 64, 4},
    {kMBConv, 4, 3, 2, 64, 128, 6}, {kMBConv, 6, 3, 1, 128, 160, 9}, {kMBConv, 6, 3, 2, 160, 256, 15},
};
const Stages kV2M = {
    {kFused, 1, 3, 1, 24, 24, 3},    {kFused, 4, 3, 2, 24, 48, 5},     {kFused, 4, 3, 2, 48, 80, 5},
    {kMBConv, 4, 3, 2, 80, 160, 7},  {kMBConv, 6, 3, 1, 160, 176, 14}, {kMBConv, 6, 3, 2, 176, 304, 18},
    {kMBConv, 6, 3, 1, 304, 512, 5},
};
const Stages kV2L = {
    {kFused, 1, 3, 1, 32, 32, 4},    {kFused, 4, 3, 2, 32, 64, 7},     {kFused, 4, 3, 2, 64, 96, 7},
    {kMBConv, 4, 3, 2, 96, 192, 10}, {kMBConv, 6, 3, 1, 192, 224, 19}, {kMBConv, 6, 3, 2, 224, 384, 25},
    {kMBConv, 6, 3, 1, 384, 640, 7},
};

struct Variant {
  const char* architecture;
  const Stages& stages;
  double width_mult, depth_mult, dropout;
  int64_t last_channels;  // 0: four times the last stage's
  BatchNormOptions norm;
};

constexpr BatchNormOptions kNorm{}, kLargeNorm{.eps = 0.001, .momentum = 0.01}, kV2Norm{.eps = 0.001};

const std::vector<Variant> kVariants = {
    {"efficientnet_b0", kB0, 1.0, 1.0, 0.2, 0, kNorm},      {"efficientnet_b1", kB0, 1.0, 1.1, 0.2, 0, kNorm},
    {"efficientnet_b2", kB0, 1.1, 1.2, 0.3, 0, kNorm},      {"efficientnet_b3", kB0, 1.2, 1.4, 0.3, 0, kNorm},
    {"efficientnet_b4", kB0, 1.4, 1.8, 0.4, 0, kNorm},      {"efficientnet_b5", kB0, 1.6, 2.2, 0.4, 0, kLargeNorm},
    {"efficientnet_b6", kB0, 1.8, 2.6, 0.5, 0, kLargeNorm}, {"efficientnet_b7", kB0, 2.0, 3.1, 0.5, 0, kLargeNorm},
    {"efficientnet_v2_s", kV2S, 1, 1, 0.2, 1280, kV2Norm},  {"efficientnet_v2_m", kV2M, 1, 1, 0.3, 1280, kV2Norm},
    {"efficientnet_v2_l", kV2L, 1, 1, 0.4, 1280, kV2Norm},
};

// torchvision's MBConv or FusedMBConv.
Block block(const Stage& stage, const BatchNormOptions& norm, double stochastic_depth) {
  int index = 0;
  auto next_name = [&] { return "block." + std::to_string(index++); };
  auto conv_norm = [&](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                       std::optional<Activation> activation) {
    const std::string name = next_name();
    return conv_norm_activation(
        {.in_channels = in, .out_channels = out, .kernel_size = kernel, .stride = stride, .groups = groups}, activation,
        norm, {name + ".0", name + ".1", name + ".2"});
  };
  const int64_t in = stage.in, out = stage.out;
  const int64_t expanded = make_divisible(static_cast<double>(in * stage.expansion), 8);
  const bool residual = stage.stride == 1 && in == out;
  constexpr Activation SiLU = Activation::SiLU;

  if (stage.fused) {
    std::vector<Conv2dNormActivation> body;
    if (expanded == in) {
      body = {conv_norm(in, out, stage.kernel, stage.stride, 1, SiLU)};
    } else {
      body = {conv_norm(in, expanded, stage.kernel, stage.stride, 1, SiLU), conv_norm(expanded, out, 1, 1, 1, {})};
    }
    if (residual) return Residual{.body = body, .stochastic_depth = stochastic_depth};
    Nodes nodes;
    for (Conv2dNormActivation& part : body) nodes.push_back({"", std::move(part)});
    return Sequential{nodes};
  }

  std::optional<Conv2dNormActivation> expand;
  if (expanded != in) expand = conv_norm(in, expanded, 1, 1, 1, SiLU);
  Conv2dNormActivation depthwise = conv_norm(expanded, expanded, stage.kernel, stage.stride, expanded, SiLU);
  SqueezeExcitation excitation(expanded, std::max<int64_t>(1, in / 4), SiLU, Activation::Sigmoid, next_name());
  return InvertedResidual{.expand = expand,
                          .depthwise = depthwise,
                          .project = conv_norm(expanded, out, 1, 1, 1, {}),
                          .residual = residual,
                          .excitation = excitation,
                          .stochastic_depth = stochastic_depth};
}

void redraw(Network& network, at::Generator& generator) {
  redraw_normal(network, std::nullopt, generator);
  redraw_layers(network, [&](Layer layer) {
    auto* linear = std::get_if<Linear*>(&layer);
    if (!linear) return;
    const double bound = 1.0 / std::sqrt(static_cast<double>((*linear)->out_features));
    (*linear)->weight.uniform_(-bound, bound, generator);
    (*linear)->bias.zero_();
  });
}

Network describe_efficientnet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  Stages stages = variant.stages;
  int64_t blocks = 0;
  for (Stage& stage : stages) {
    stage.in = make_divisible(static_cast<double>(stage.in) * variant.width_mult, 8);
    stage.out = make_divisible(static_cast<double>(stage.out) * variant.width_mult, 8);
    stage.layers = static_cast<int64_t>(std::ceil(static_cast<double>(stage.layers) * variant.depth_mult));
    blocks += stage.layers;
  }
  const double stochastic_depth = options.number("stochasticDepthProb", 0.2);
  BatchNormOptions norm = variant.norm;
  norm.eps = options.number("batchNormEps", norm.eps);

  auto conv_norm = [&](int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    return conv_norm_activation({.in_channels = in, .out_channels = out, .kernel_size = kernel, .stride = stride},
                                Activation::SiLU, norm);
  };
  Nodes features = {{"0", conv_norm(3, stages[0].in, 3, 2)}};
  int64_t number = 0;
  for (Stage stage : stages) {
    Nodes layers;
    for (int64_t i = 0; i < stage.layers; i++) {
      const double probability = stochastic_depth * static_cast<double>(number++) / static_cast<double>(blocks);
      layers.push_back({std::to_string(i), block(stage, norm, probability)});
      stage.in = stage.out;
      stage.stride = 1;
    }
    features.push_back({std::to_string(features.size()), Sequential{layers}});
  }
  const int64_t in = stages.back().out, last = variant.last_channels ? variant.last_channels : 4 * in;
  features.push_back({std::to_string(features.size()), conv_norm(in, last, 1, 1)});

  return {architecture,
          num_classes,
          {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{1}}, {"flatten", Flatten{}}},
          {{"classifier.0", Dropout{options.number("dropout", variant.dropout)}},
           {"classifier.1", Linear{last, num_classes}}},
          redraw};
}

}  // namespace

Family efficientnet_family() {
  Family family{
      "efficientnet", {}, {"dropout", "stochasticDepthProb", "batchNormEps"}, "classifier.1", describe_efficientnet};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
