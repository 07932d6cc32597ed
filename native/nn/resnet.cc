// ResNet: He et al. 2015, arXiv:1512.03385 (stride in the 3 x 3 convolution of a bottleneck, "v1.5"); ResNeXt: Xie et
// al. 2016, arXiv:1611.05431; Wide ResNet: Zagoruyko & Komodakis 2016, arXiv:1605.07146. Names and order of
// torchvision/models/resnet.py.
#include <array>

#include "nn/init.h"
#include "nn/registry.h"
#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

struct Variant {
  const char* architecture;
  bool bottleneck;
  std::array<int64_t, 4> blocks;
  int64_t groups = 1, width_per_group = 64;
};

const std::vector<Variant> kVariants = {
    {"resnet18", false, {2, 2, 2, 2}},
    {"resnet34", false, {3, 4, 6, 3}},
    {"resnet50", true, {3, 4, 6, 3}},
    {"resnet101", true, {3, 4, 23, 3}},
    {"resnet152", true, {3, 8, 36, 3}},
    {"resnext50_32x4d", true, {3, 4, 6, 3}, 32, 4},
    {"resnext101_32x8d", true, {3, 4, 23, 3}, 32, 8},
    {"resnext101_64x4d", true, {3, 4, 23, 3}, 64, 4},
    {"wide_resnet50_2", true, {3, 4, 6, 3}, 1, 128},
    {"wide_resnet101_2", true, {3, 4, 23, 3}, 1, 128},
};

Conv2d conv3x3(int64_t in, int64_t out, int64_t stride, int64_t groups = 1, int64_t dilation = 1) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel_size = 3,
          .stride = stride,
          .padding = dilation,
          .dilation = dilation,
          .groups = groups};
}

Conv2d conv1x1(int64_t in, int64_t out, int64_t stride = 1) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 1, .stride = stride};
}

// `number` is the layer's number in its block: conv1, bn1.
Conv2dNormActivation conv_norm(const Conv2d& conv, int number, std::optional<Activation> activation) {
  const std::string suffix = std::to_string(number);
  return {conv, BatchNorm2d{conv.out_channels}, activation, {"conv" + suffix, "bn" + suffix, "relu"}};
}

std::vector<Conv2dNormActivation> basic_block(int64_t in, int64_t planes, int64_t stride) {
  return {conv_norm(conv3x3(in, planes, stride), 1, Activation::ReLU),
          conv_norm(conv3x3(planes, planes, 1), 2, std::nullopt)};
}

std::vector<Conv2dNormActivation> bottleneck(int64_t in, int64_t width, int64_t out, int64_t stride, int64_t groups,
                                             int64_t dilation) {
  return {conv_norm(conv1x1(in, width), 1, Activation::ReLU),
          conv_norm(conv3x3(width, width, stride, groups, dilation), 2, Activation::ReLU),
          conv_norm(conv1x1(width, out), 3, std::nullopt)};
}

void redraw(Network& network, at::Generator& generator) { redraw_normal(network, std::nullopt, generator); }

void zero_residuals(Nodes& nodes) {
  for (Node& node : nodes) {
    if (auto* sequential = std::get_if<Sequential>(&node.block)) zero_residuals(sequential->children);
    if (auto* residual = std::get_if<Residual>(&node.block)) residual->body.back().norm->weight.zero_();
  }
}

// The last batch norm of every residual branch starts at zero, so that each block starts as the identity
// (Goyal et al. 2017, arXiv:1706.02677; torchvision's zero_init_residual).
void redraw_with_zero_residuals(Network& network, at::Generator& generator) {
  redraw(network, generator);
  zero_residuals(network.backbone);
}

// torchvision's constructor arguments.
struct Arguments {
  int64_t groups, width_per_group;
  std::vector<bool> replace_stride_with_dilation;  // of layer2, layer3 and layer4
  bool zero_init_residual;

  Arguments(const Variant& variant, const Options& options)
      : groups(options.integer("groups", variant.groups)),
        width_per_group(options.integer("widthPerGroup", variant.width_per_group)),
        replace_stride_with_dilation(options.flags("replaceStrideWithDilation", {false, false, false})),
        zero_init_residual(options.flag("zeroInitResidual", false)) {
    const size_t count = replace_stride_with_dilation.size();
    if (count != 3)
      throw Error("ERR_INVALID_ARGUMENT",
                  "replaceStrideWithDilation: expected three booleans, got " + std::to_string(count));
    const bool plain =
        groups == 1 && width_per_group == 64 && replace_stride_with_dilation == std::vector<bool>(3, false);
    if (!variant.bottleneck && !plain)
      throw Error("ERR_INVALID_ARGUMENT", std::string(variant.architecture) +
                                              " has basic blocks, which do not support groups, widthPerGroup or "
                                              "replaceStrideWithDilation: use resnet50 or deeper");
  }
};

Network describe_resnet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  const Arguments arguments(variant, options);
  const int64_t groups = arguments.groups;
  const int64_t expansion = variant.bottleneck ? 4 : 1;

  int64_t channels = 64, dilation = 1;
  auto layer = [&](int64_t planes, int64_t blocks, int64_t stride, bool replace_stride) {
    const int64_t first_dilation = dilation;
    if (replace_stride) {
      dilation *= stride;
      stride = 1;
    }
    const int64_t out = planes * expansion;
    const int64_t width = planes * arguments.width_per_group / 64 * groups;
    Nodes result;
    for (int64_t i = 0; i < blocks; i++) {
      const int64_t s = i == 0 ? stride : 1;
      Residual block{.body = variant.bottleneck
                                 ? bottleneck(channels, width, out, s, groups, i == 0 ? first_dilation : dilation)
                                 : basic_block(channels, planes, s),
                     .downsample = std::nullopt,
                     .activation = Activation::ReLU};
      if (i == 0 && (stride != 1 || channels != out))
        block.downsample = Conv2dNormActivation{
            conv1x1(channels, out, stride), BatchNorm2d{out}, std::nullopt, {"downsample.0", "downsample.1", ""}};
      result.push_back({std::to_string(i), block});
      channels = out;
    }
    return Sequential{result};
  };

  const auto& dilate = arguments.replace_stride_with_dilation;
  const Conv2d stem{.in_channels = 3, .out_channels = 64, .kernel_size = 7, .stride = 2, .padding = 3};
  Nodes backbone = {{"", conv_norm(stem, 1, Activation::ReLU)}, {"maxpool", MaxPool2d{3, 2, 1}}};
  backbone.push_back({"layer1", layer(64, variant.blocks[0], 1, false)});
  backbone.push_back({"layer2", layer(128, variant.blocks[1], 2, dilate[0])});
  backbone.push_back({"layer3", layer(256, variant.blocks[2], 2, dilate[1])});
  backbone.push_back({"layer4", layer(512, variant.blocks[3], 2, dilate[2])});
  backbone.push_back({"avgpool", AdaptiveAvgPool2d{1}});
  backbone.push_back({"flatten", Flatten{}});
  return {architecture,
          num_classes,
          backbone,
          {{"fc", Linear{512 * expansion, num_classes}}},
          arguments.zero_init_residual ? redraw_with_zero_residuals : redraw};
}

}  // namespace

Family resnet_family() {
  Family family{"resnet",
                {},
                {"zeroInitResidual", "groups", "widthPerGroup", "replaceStrideWithDilation"},
                "fc",
                describe_resnet};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
