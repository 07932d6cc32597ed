// GoogLeNet: Szegedy et al. 2014, arXiv:1409.4842, with batch norms; names and order of
// torchvision/models/googlenet.py.
#include "nn/inception.h"
#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

Node basic_conv(const std::string& name, int64_t in, int64_t out, Size kernel, Size padding, int64_t stride) {
  const Conv2d conv{
      .in_channels = in, .out_channels = out, .kernel_size = kernel, .stride = stride, .padding = padding};
  return {name, Conv2dNormActivation{conv, BatchNorm2d{out, /*eps=*/0.001}, Activation::ReLU, {"conv", "bn", "relu"}}};
}

Node transform_input() {
  ChannelAffine affine{};
  constexpr std::array<double, 3> mean = {0.485, 0.456, 0.406}, deviation = {0.229, 0.224, 0.225};
  for (size_t i = 0; i < 3; i++) {
    affine.scale[i] = deviation[i] / 0.5;
    affine.shift[i] = (mean[i] - 0.5) / 0.5;
  }
  return {"transform_input", affine};
}

namespace {

// Table 1 of the paper: the channels of the 1 x 1 convolution, those before and of the 3 x 3 and the 5 x 5 convolution,
// and those of the convolution after the pooling. torchvision replaces the 5 x 5 convolution by a 3 x 3 one.
struct Row {
  const char* name;
  int64_t c1, reduce3, c3, reduce5, c5, pooled;

  int64_t channels() const { return c1 + c3 + c5 + pooled; }
};

Node inception(int64_t in, const Row& row) {
  const Nodes branch2 = {basic_conv("0", in, row.reduce3, 1), basic_conv("1", row.reduce3, row.c3, 3, 1)};
  const Nodes branch3 = {basic_conv("0", in, row.reduce5, 1), basic_conv("1", row.reduce5, row.c5, 3, 1)};
  const Nodes branch4 = {{"0", MaxPool2d{3, 1, 1, /*ceil_mode=*/true}}, basic_conv("1", in, row.pooled, 1)};
  return {row.name, Concat{{basic_conv("branch1", in, row.c1, 1),
                            {"branch2", Sequential{branch2}},
                            {"branch3", Sequential{branch3}},
                            {"branch4", Sequential{branch4}}}}};
}

AuxiliaryHead auxiliary_head(int64_t in, int64_t num_classes, double dropout) {
  const Nodes head = {{"avgpool", AdaptiveAvgPool2d{4}},
                      basic_conv("conv", in, 128, 1),
                      {"flatten", Flatten{}},
                      {"", LinearActivation{Linear{128 * 4 * 4, 1024}, Activation::ReLU, {"fc1", "relu"}}},
                      {"dropout", Dropout{dropout}},
                      {"fc2", Linear{1024, num_classes}}};
  return {head, /*loss_weight=*/0.3, /*is_registered_last=*/true};
}

void redraw(Network& network, at::Generator& generator) {
  redraw_layers(network, [&](Layer layer) {
    if (auto* conv = std::get_if<Conv2d*>(&layer)) trunc_normal_((*conv)->weight, 0.01, generator);
    if (auto* linear = std::get_if<Linear*>(&layer)) trunc_normal_((*linear)->weight, 0.01, generator);
  });
}

Network describe_googlenet(const std::string& architecture, int64_t num_classes, const Options& options) {
  Nodes backbone;
  if (options.flag("transformInput", false)) backbone.push_back(transform_input());
  int64_t channels = 192;
  auto add = [&](const Row& row) {
    backbone.push_back(inception(channels, row));
    channels = row.channels();
  };
  auto pool = [&](const char* name, int64_t kernel) {
    backbone.push_back({name, MaxPool2d{kernel, 2, 0, /*ceil_mode=*/true}});
  };
  auto add_auxiliary_head = [&](const char* name) {
    if (options.flag("auxLogits", true))
      backbone.push_back({name, auxiliary_head(channels, num_classes, options.number("dropoutAux", 0.7))});
  };
  backbone.push_back(basic_conv("conv1", 3, 64, 7, 3, 2));
  pool("maxpool1", 3);
  backbone.push_back(basic_conv("conv2", 64, 64, 1));
  backbone.push_back(basic_conv("conv3", 64, 192, 3, 1));
  pool("maxpool2", 3);
  add({"inception3a", 64, 96, 128, 16, 32, 32});
  add({"inception3b", 128, 128, 192, 32, 96, 64});
  pool("maxpool3", 3);
  add({"inception4a", 192, 96, 208, 16, 48, 64});
  add_auxiliary_head("aux1");
  add({"inception4b", 160, 112, 224, 24, 64, 64});
  add({"inception4c", 128, 128, 256, 24, 64, 64});
  add({"inception4d", 112, 144, 288, 32, 64, 64});
  add_auxiliary_head("aux2");
  add({"inception4e", 256, 160, 320, 32, 128, 128});
  pool("maxpool4", 2);
  add({"inception5a", 256, 160, 320, 32, 128, 128});
  add({"inception5b", 384, 192, 384, 48, 128, 128});
  backbone.push_back({"avgpool", AdaptiveAvgPool2d{1}});
  backbone.push_back({"flatten", Flatten{}});
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = backbone,
          .classifier = {{"dropout", Dropout{options.number("dropout", 0.2)}}, {"fc", Linear{channels, num_classes}}},
          .redraw = redraw,
          .auxiliary_heads = {"aux1", "aux2"}};
}

}  // namespace

Family googlenet_family() {
  return {
      "googlenet", {"googlenet"}, {"auxLogits", "transformInput", "dropout", "dropoutAux"}, "fc", describe_googlenet};
}

}  // namespace visiontorch::nn
