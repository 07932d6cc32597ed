// MobileNetV2: Sandler et al. 2018, arXiv:1801.04381; names and order of torchvision/models/mobilenetv2.py.
#include <algorithm>

#include "nn/registry.h"
#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

// Table 2 of the paper: expansion t, output channels c, repeats n, stride of the first s.
const std::vector<std::vector<int64_t>> kPaperSetting = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                                         {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

// The nearest multiple of `divisor`, but never less than 90% of `value` (torchvision's _make_divisible).
int64_t make_divisible(double value, int64_t divisor) {
  const int64_t result =
      std::max(divisor, static_cast<int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor);
  return static_cast<double>(result) < 0.9 * value ? result + divisor : result;
}

Nodes conv_bn_relu6(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
  return {{"0", Conv2d{.in_channels = in,
                       .out_channels = out,
                       .kernel_size = kernel,
                       .stride = stride,
                       .padding = (kernel - 1) / 2,
                       .groups = groups}},
          {"1", BatchNorm2d{out}},
          {"2", Activation{Activation::ReLU6}}};
}

Node inverted_residual(const std::string& name, int64_t in, int64_t out, int64_t stride, int64_t expansion) {
  const int64_t hidden = in * expansion;
  Nodes conv;
  auto add = [&](auto op) { conv.push_back({"conv." + std::to_string(conv.size()), op}); };
  if (expansion != 1) add(Sequential{conv_bn_relu6(in, hidden, 1, 1, 1)});
  add(Sequential{conv_bn_relu6(hidden, hidden, 3, stride, hidden)});
  add(Conv2d{.in_channels = hidden, .out_channels = out, .kernel_size = 1});
  add(BatchNorm2d{out});
  if (stride == 1 && in == out) return {name, Residual{conv, {}, false}};
  return {name, Sequential{conv}};
}

Network build(const std::string& architecture, int64_t num_classes, const Options& options) {
  const auto& setting = options.inverted_residual_setting.empty() ? kPaperSetting : options.inverted_residual_setting;
  auto scaled = [&](double channels) { return make_divisible(channels, options.round_nearest); };

  int64_t channels = scaled(32 * options.width_mult);
  const int64_t last = scaled(1280 * std::max(1.0, options.width_mult));
  Nodes features = {{"0", Sequential{conv_bn_relu6(3, channels, 3, 2, 1)}}};
  for (const auto& row : setting) {
    if (row.size() != 4 || *std::min_element(row.begin(), row.end()) < 1)
      throw Error("ERR_INVALID_ARGUMENT",
                  "invertedResidualSetting: expected rows of four positive integers (t, c, n, s)");
    const int64_t out = scaled(static_cast<double>(row[1]) * options.width_mult);
    for (int64_t i = 0; i < row[2]; i++) {
      features.push_back(
          inverted_residual(std::to_string(features.size()), channels, out, i == 0 ? row[3] : 1, row[0]));
      channels = out;
    }
  }
  features.push_back({std::to_string(features.size()), Sequential{conv_bn_relu6(channels, last, 1, 1, 1)}});

  return {architecture,
          num_classes,
          Initialization::MobileNetV2,
          {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{1}}, {"flatten", Flatten{}}},
          {{"classifier.0", Dropout{options.dropout.value_or(0.2)}}, {"classifier.1", Linear{last, num_classes}}}};
}

}  // namespace

std::vector<Family> mobilenet_v2_family() { return {{"mobilenet_v2", build}}; }

}  // namespace visiontorch::nn
