// VGG: Simonyan & Zisserman 2014, arXiv:1409.1556; names and order of torchvision/models/vgg.py.
#include <map>

#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

constexpr int64_t M = 0;  // a 2 x 2 max pooling

// Table 1 of the paper, columns A, B, D and E: output channels of each 3 x 3 convolution.
const std::map<int, std::vector<int64_t>> kConfigurations = {
    {11, {64, M, 128, M, 256, 256, M, 512, 512, M, 512, 512, M}},
    {13, {64, 64, M, 128, 128, M, 256, 256, M, 512, 512, M, 512, 512, M}},
    {16, {64, 64, M, 128, 128, M, 256, 256, 256, M, 512, 512, 512, M, 512, 512, 512, M}},
    {19, {64, 64, M, 128, 128, M, 256, 256, 256, 256, M, 512, 512, 512, 512, M, 512, 512, 512, 512, M}},
};

Network build(const std::string& architecture, int64_t num_classes, const Options& options) {
  const int depth = std::stoi(architecture.substr(3));
  const bool has_batch_norm = architecture.ends_with("_bn");
  const double dropout = options.dropout.value_or(0.5);

  Nodes features;
  auto add = [&](auto op) { features.push_back({std::to_string(features.size()), op}); };
  int64_t channels = 3;
  for (int64_t out : kConfigurations.at(depth)) {
    if (out == M) {
      add(MaxPool2d{2, 2});
      continue;
    }
    add(Conv2d{.in_channels = channels, .out_channels = out, .kernel_size = 3, .padding = 1, .has_bias = true});
    if (has_batch_norm) add(BatchNorm2d{out});
    add(Activation{Activation::ReLU});
    channels = out;
  }

  return {architecture,
          num_classes,
          Initialization::VGG,
          {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{7}}, {"flatten", Flatten{}}},
          {{"classifier.0", Linear{512 * 7 * 7, 4096}},
           {"classifier.1", Activation{Activation::ReLU}},
           {"classifier.2", Dropout{dropout}},
           {"classifier.3", Linear{4096, 4096}},
           {"classifier.4", Activation{Activation::ReLU}},
           {"classifier.5", Dropout{dropout}},
           {"classifier.6", Linear{4096, num_classes}}}};
}

}  // namespace

std::vector<Family> vgg_family() {
  std::vector<Family> family;
  for (const auto& [depth, configuration] : kConfigurations)
    for (const char* suffix : {"", "_bn"}) family.push_back({"vgg" + std::to_string(depth) + suffix, build});
  return family;
}

}  // namespace visiontorch::nn
