// DenseNet: Huang et al. 2016, arXiv:1608.06993; names and order of torchvision/models/densenet.py.
#include <algorithm>
#include <array>
#include <cmath>
#include <regex>

#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

struct Variant {
  const char* architecture;
  int64_t growth_rate;
  std::array<int64_t, 4> layers;  // per dense block
  int64_t first_channels;
};

// Table 1 of the paper.
const std::vector<Variant> kVariants = {
    {"densenet121", 32, {6, 12, 24, 16}, 64},
    {"densenet161", 48, {6, 12, 36, 24}, 96},
    {"densenet169", 32, {6, 12, 32, 32}, 64},
    {"densenet201", 32, {6, 12, 48, 32}, 64},
};

Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  return {.in_channels = in, .out_channels = out, .kernel_size = kernel, .stride = stride, .padding = kernel / 2};
}

DenseLayer dense_layer(int64_t number, int64_t in, int64_t hidden, int64_t growth_rate, double drop_rate) {
  const PreactivatedConvolution first{
      .before = {BatchNorm2d{in}, Activation::ReLU, {"norm1", "relu1"}},
      .convolution = {conv(in, hidden, 1), BatchNorm2d{hidden}, Activation::ReLU, {"conv1", "norm2", "relu2"}}};
  return {"denselayer" + std::to_string(number),
          first,
          {conv(hidden, growth_rate, 3), {}, {}, {"conv2", "", ""}},
          drop_rate};
}

void redraw(Network& network, at::Generator& generator) {
  redraw_layers(network, [&](Layer layer) {
    if (auto* conv = std::get_if<Conv2d*>(&layer)) kaiming_normal_((*conv)->weight, generator);
    if (auto* linear = std::get_if<Linear*>(&layer)) (*linear)->bias.zero_();
  });
}

// torchvision's files date from when a module's name could contain a period: denselayer1.norm.1.weight.
std::string older_name(const std::string& name) {
  static const std::regex pattern(R"((.*denselayer\d+\.(?:norm|conv))([12]\..*))");
  std::smatch parts;
  return std::regex_match(name, parts, pattern) ? parts[1].str() + "." + parts[2].str() : "";
}

Network describe_densenet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  const int64_t growth_rate = variant.growth_rate, hidden = options.integer("bnSize", 4) * growth_rate;
  const double drop_rate = options.number("dropRate", 0);

  int64_t channels = variant.first_channels;
  Nodes features = {
      {"",
       Conv2dNormActivation{
           conv(3, channels, 7, 2), BatchNorm2d{channels}, Activation::ReLU, {"conv0", "norm0", "relu0"}}},
      {"pool0", MaxPool2d{3, 2, 1}}};
  for (size_t i = 0; i < variant.layers.size(); i++) {
    const std::string number = std::to_string(i + 1);
    DenseBlock block;
    for (int64_t layer = 1; layer <= variant.layers[i]; layer++) {
      block.layers.push_back(dense_layer(layer, channels, hidden, growth_rate, drop_rate));
      channels += growth_rate;
    }
    features.push_back({"denseblock" + number, block});
    if (i + 1 == variant.layers.size()) break;
    const PreactivatedConvolution transition{.before = {BatchNorm2d{channels}, Activation::ReLU, {"norm", "relu"}},
                                             .convolution = {conv(channels, channels / 2, 1), {}, {}, {"conv", "", ""}},
                                             .pool = AvgPool2d{2, 2}};
    features.push_back({"transition" + number, transition});
    channels /= 2;
  }
  features.push_back({"", NormActivation{BatchNorm2d{channels}, Activation::ReLU, {"norm5", "relu5"}}});

  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{1}}, {"flatten", Flatten{}}},
          .classifier = {{"classifier", Linear{channels, num_classes}}},
          .redraw = redraw,
          .older_name = older_name};
}

}  // namespace

Family densenet_family() {
  Family family{"densenet", {}, {"bnSize", "dropRate"}, "classifier", describe_densenet};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
