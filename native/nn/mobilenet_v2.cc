// MobileNetV2: Sandler et al. 2018, arXiv:1801.04381; names and order of torchvision/models/mobilenetv2.py.
#include <algorithm>

#include "nn/init.h"
#include "nn/registry.h"
#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

// Table 2 of the paper: expansion t, output channels c, repeats n, stride s of the first block.
const Options::Rows kPaperSetting = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                     {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

Conv2dNormActivation conv_norm(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                               std::optional<Activation> activation, Conv2dNormActivation::Names names = {}) {
  return conv_norm_activation(
      {.in_channels = in, .out_channels = out, .kernel_size = kernel, .stride = stride, .groups = groups}, activation,
      {}, std::move(names));
}

InvertedResidual inverted_residual(int64_t in, int64_t out, int64_t stride, int64_t expansion) {
  const int64_t hidden = in * expansion;
  int index = 0;
  auto next_name = [&] { return "conv." + std::to_string(index++); };
  auto conv_norm_relu6 = [&](int64_t channels, int64_t kernel, int64_t step, int64_t groups) {
    const std::string name = next_name();
    return conv_norm(channels, hidden, kernel, step, groups, Activation::ReLU6,
                     {name + ".0", name + ".1", name + ".2"});
  };
  std::optional<Conv2dNormActivation> expand;
  if (expansion != 1) expand = conv_norm_relu6(in, 1, 1, 1);
  const Conv2dNormActivation depthwise = conv_norm_relu6(hidden, 3, stride, hidden);
  const std::string conv = next_name(), norm = next_name();
  return {expand, depthwise, conv_norm(hidden, out, 1, 1, 1, std::nullopt, {conv, norm, ""}), stride == 1 && in == out};
}

void redraw(Network& network, at::Generator& generator) { redraw_normal(network, 0.01, generator); }

Network describe_mobilenet_v2(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Options::Rows setting = options.rows("invertedResidualSetting", kPaperSetting);
  const double width_mult = options.number("widthMult", 1);
  const int64_t round_nearest = options.integer("roundNearest", 8);
  auto scaled = [&](double channels) { return make_divisible(channels, round_nearest); };

  int64_t channels = scaled(32 * width_mult);
  const int64_t last = scaled(1280 * std::max(1.0, width_mult));
  Nodes features = {{"0", conv_norm(3, channels, 3, 2, 1, Activation::ReLU6)}};
  for (const auto& row : setting) {
    if (row.size() != 4 || *std::min_element(row.begin(), row.end()) < 1)
      throw Error("ERR_INVALID_ARGUMENT",
                  "invertedResidualSetting: expected rows of four positive integers (t, c, n, s)");
    const int64_t out = scaled(static_cast<double>(row[1]) * width_mult);
    for (int64_t i = 0; i < row[2]; i++) {
      features.push_back(
          {std::to_string(features.size()), inverted_residual(channels, out, i == 0 ? row[3] : 1, row[0])});
      channels = out;
    }
  }
  features.push_back({std::to_string(features.size()), conv_norm(channels, last, 1, 1, 1, Activation::ReLU6)});

  return {architecture,
          num_classes,
          {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{1}}, {"flatten", Flatten{}}},
          {{"classifier.0", Dropout{options.number("dropout", 0.2)}}, {"classifier.1", Linear{last, num_classes}}},
          redraw};
}

}  // namespace

Family mobilenet_v2_family() {
  return {"mobilenet_v2",
          {"mobilenet_v2"},
          {"widthMult", "invertedResidualSetting", "roundNearest", "dropout"},
          "classifier.1",
          describe_mobilenet_v2};
}

}  // namespace visiontorch::nn
