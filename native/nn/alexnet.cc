// AlexNet: Krizhevsky 2014, arXiv:1404.5997 ("one weird trick"); names and order of torchvision/models/alexnet.py.
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

Node conv_relu(int index, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding) {
  const Conv2d conv{.in_channels = in,
                    .out_channels = out,
                    .kernel_size = kernel,
                    .stride = stride,
                    .padding = padding,
                    .has_bias = true};
  return {"", Conv2dNormActivation{conv, {}, Activation::ReLU, {std::to_string(index), "", std::to_string(index + 1)}}};
}

Network describe_alexnet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const double dropout = options.number("dropout", 0.5);
  const Nodes features = {conv_relu(0, 3, 64, 11, 4, 2),    {"2", MaxPool2d{3, 2}},
                          conv_relu(3, 64, 192, 5, 1, 2),   {"5", MaxPool2d{3, 2}},
                          conv_relu(6, 192, 384, 3, 1, 1),  conv_relu(8, 384, 256, 3, 1, 1),
                          conv_relu(10, 256, 256, 3, 1, 1), {"12", MaxPool2d{3, 2}}};
  const Nodes classifier = {{"0", Dropout{dropout}},
                            {"", LinearActivation{Linear{256 * 6 * 6, 4096}, Activation::ReLU, {"1", "2"}}},
                            {"3", Dropout{dropout}},
                            {"", LinearActivation{Linear{4096, 4096}, Activation::ReLU, {"4", "5"}}},
                            {"6", Linear{4096, num_classes}}};
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = {{"features", Sequential{features}}, {"avgpool", AdaptiveAvgPool2d{6}}, {"flatten", Flatten{}}},
          .classifier = {{"classifier", Sequential{classifier}}}};
}

}  // namespace

Family alexnet_family() { return {"alexnet", {"alexnet"}, {"dropout"}, "classifier.6", describe_alexnet}; }

}  // namespace visiontorch::nn
