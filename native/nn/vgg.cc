// VGG: Simonyan & Zisserman 2014, arXiv:1409.1556; names and order of torchvision/models/vgg.py.
#include <map>

#include "nn/init.h"
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

void redraw(Network& network, at::Generator& generator) { redraw_normal(network, 0.01, generator); }

Network describe_vgg(const std::string& architecture, int64_t num_classes, const Options& options) {
  const int depth = std::stoi(architecture.substr(3));
  const bool has_batch_norm = architecture.ends_with("_bn");
  const double dropout = options.number("dropout", 0.5);

  // torchvision numbers the parts in one flat Sequential.
  Nodes features;
  int index = 0;
  auto next_name = [&] { return std::to_string(index++); };
  int64_t channels = 3;
  for (int64_t out : kConfigurations.at(depth)) {
    if (out == M) {
      features.push_back({next_name(), MaxPool2d{2, 2}});
      continue;
    }
    Conv2dNormActivation block{
        .conv = {.in_channels = channels, .out_channels = out, .kernel_size = 3, .padding = 1, .has_bias = true},
        .norm = has_batch_norm ? std::optional(BatchNorm2d{out}) : std::nullopt,
        .activation = Activation::ReLU};
    block.names.conv = next_name();
    if (has_batch_norm) block.names.norm = next_name();
    block.names.activation = next_name();
    features.push_back({"", block});
    channels = out;
  }

  auto hidden = [](int64_t in, const char* linear, const char* activation) {
    return Node{"", LinearActivation{Linear{in, 4096}, Activation::ReLU, {linear, activation}}};
  };
  return {architecture,
          num_classes,
          {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{7}}, {"flatten", Flatten{}}},
          {hidden(512 * 7 * 7, "classifier.0", "classifier.1"),
           {"classifier.2", Dropout{dropout}},
           hidden(4096, "classifier.3", "classifier.4"),
           {"classifier.5", Dropout{dropout}},
           {"classifier.6", Linear{4096, num_classes}}},
          redraw};
}

}  // namespace

Family vgg_family() {
  Family family{"vgg", {}, {"dropout"}, "classifier.6", describe_vgg};
  for (const auto& [depth, configuration] : kConfigurations)
    for (const char* suffix : {"", "_bn"}) family.architectures.push_back("vgg" + std::to_string(depth) + suffix);
  return family;
}

}  // namespace visiontorch::nn
