// SqueezeNet: Iandola et al. 2016, arXiv:1602.07360; names and order of torchvision/models/squeezenet.py.
#include <map>

#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

constexpr int64_t M = 0;  // a 3 x 3 max pooling

struct Configuration {
  Conv2d stem;
  // Table 1 of the paper: the squeezed channels of each Fire module, which has eight times as many outputs.
  std::vector<int64_t> squeezed;
};

const std::map<std::string, Configuration> kConfigurations = {
    {"squeezenet1_0",
     {{.in_channels = 3, .out_channels = 96, .kernel_size = 7, .stride = 2, .has_bias = true},
      {M, 16, 16, 32, M, 32, 48, 48, 64, M, 64}}},
    {"squeezenet1_1",
     {{.in_channels = 3, .out_channels = 64, .kernel_size = 3, .stride = 2, .has_bias = true},
      {M, 16, 16, M, 32, 32, M, 48, 48, 64, 64}}},
};

Node conv_relu(const std::string& name, int64_t in, int64_t out, int64_t kernel) {
  const Conv2d conv{
      .in_channels = in, .out_channels = out, .kernel_size = kernel, .padding = kernel / 2, .has_bias = true};
  return {"", Conv2dNormActivation{conv, {}, Activation::ReLU, {name, "", name + "_activation"}}};
}

Nodes fire(int64_t in, int64_t squeezed) {
  const int64_t expanded = 4 * squeezed;
  return {conv_relu("squeeze", in, squeezed, 1),
          {"", Concat{{conv_relu("expand1x1", squeezed, expanded, 1), conv_relu("expand3x3", squeezed, expanded, 3)}}}};
}

void redraw(Network& network, at::Generator& generator) {
  for_each_layer(network.backbone, "", [&](const std::string&, Layer layer) {
    Conv2d& conv = *std::get<Conv2d*>(layer);
    kaiming_uniform_(conv.weight, generator);
    conv.bias.zero_();
  });
  for_each_layer(network.classifier, "", [&](const std::string&, Layer layer) {
    Conv2d& conv = *std::get<Conv2d*>(layer);
    conv.weight.normal_(0, 0.01, generator);
    conv.bias.zero_();
  });
}

Network describe_squeezenet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Configuration& configuration = kConfigurations.at(architecture);
  int64_t channels = configuration.stem.out_channels;
  // torchvision numbers the parts in one flat Sequential.
  Nodes features = {{"", Conv2dNormActivation{configuration.stem, {}, Activation::ReLU, {"0", "", "1"}}}};
  int index = 2;
  for (int64_t squeezed : configuration.squeezed) {
    const std::string name = std::to_string(index++);
    if (squeezed == M) {
      features.push_back({name, MaxPool2d{3, 2, 0, /*ceil_mode=*/true}});
    } else {
      features.push_back({name, Sequential{fire(channels, squeezed)}});
      channels = 8 * squeezed;
    }
  }
  const Conv2d last{.in_channels = channels, .out_channels = num_classes, .kernel_size = 1, .has_bias = true};
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = {{"features", Sequential{features}}},
          .classifier = {{"classifier.0", Dropout{options.number("dropout", 0.5)}},
                         {"classifier", Conv2dNormActivation{last, {}, Activation::ReLU, {"1", "", "2"}}},
                         {"classifier.3", AdaptiveAvgPool2d{1}},
                         {"flatten", Flatten{}}},
          .redraw = redraw};
}

}  // namespace

Family squeezenet_family() {
  return {"squeezenet", {"squeezenet1_0", "squeezenet1_1"}, {"dropout"}, "classifier.1", describe_squeezenet};
}

}  // namespace visiontorch::nn
