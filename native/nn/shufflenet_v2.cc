// ShuffleNetV2: Ma et al. 2018, arXiv:1807.11164; names and order of torchvision/models/shufflenetv2.py.
#include <algorithm>
#include <array>

#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

struct Variant {
  const char* architecture;
  std::array<int64_t, 4> channels;  // of the three stages and the last convolution
};

// Table 5 of the paper.
const std::vector<Variant> kVariants = {
    {"shufflenet_v2_x0_5", {48, 96, 192, 1024}},
    {"shufflenet_v2_x1_0", {116, 232, 464, 1024}},
    {"shufflenet_v2_x1_5", {176, 352, 704, 1024}},
    {"shufflenet_v2_x2_0", {244, 488, 976, 2048}},
};
constexpr std::array<int64_t, 3> kRepeats = {4, 8, 4};

Node pointwise(int64_t in, int64_t out, Conv2dNormActivation::Names names = {}) {
  return {"", Conv2dNormActivation{{.in_channels = in, .out_channels = out, .kernel_size = 1},
                                   BatchNorm2d{out},
                                   Activation::ReLU,
                                   std::move(names)}};
}

Node depthwise(int64_t channels, int64_t stride, Conv2dNormActivation::Names names) {
  const Conv2d conv{.in_channels = channels,
                    .out_channels = channels,
                    .kernel_size = 3,
                    .stride = stride,
                    .padding = 1,
                    .groups = channels};
  return {"", Conv2dNormActivation{conv, BatchNorm2d{channels}, std::nullopt, std::move(names)}};
}

Nodes right_branch(int64_t in, int64_t out, int64_t stride) {
  return {pointwise(in, out), depthwise(out, stride, {"3", "4", ""}), pointwise(out, out, {"5", "6", "7"})};
}

// Figure 3 (c): one half of the channels passes through unchanged.
Node unit(int64_t channels) {
  const int64_t half = channels / 2;
  return {"", Concat{{{"", ChannelSlice{0, half}},
                      {"branch2", Sequential{{{"split", ChannelSlice{half, half}},
                                              {"", Sequential{right_branch(half, half, 1)}}}}}}}};
}

// Figure 3 (d): halves the image.
Node downsampling_unit(int64_t in, int64_t out) {
  const Nodes left = {depthwise(in, 2, {"0", "1", ""}), pointwise(in, out / 2, {"2", "3", "4"})};
  return {"", Concat{{{"branch1", Sequential{left}}, {"branch2", Sequential{right_branch(in, out / 2, 2)}}}}};
}

Network describe_shufflenet_v2(const std::string& architecture, int64_t num_classes, const Options&) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  int64_t channels = 24;
  const Conv2d stem{.in_channels = 3, .out_channels = channels, .kernel_size = 3, .stride = 2, .padding = 1};
  Nodes backbone = {{"conv1", Conv2dNormActivation{stem, BatchNorm2d{channels}, Activation::ReLU}},
                    {"maxpool", MaxPool2d{3, 2, 1}}};
  for (size_t i = 0; i < kRepeats.size(); i++) {
    Nodes stage;
    for (int64_t repeat = 0; repeat < kRepeats[i]; repeat++) {
      const Nodes nodes = {repeat == 0 ? downsampling_unit(channels, variant.channels[i]) : unit(variant.channels[i]),
                           {"shuffle", ChannelShuffle{2}}};
      stage.push_back({std::to_string(repeat), Sequential{nodes}});
    }
    channels = variant.channels[i];
    backbone.push_back({"stage" + std::to_string(i + 2), Sequential{stage}});
  }
  const int64_t last = variant.channels[3];
  backbone.push_back({"conv5", Sequential{{pointwise(channels, last)}}});
  backbone.push_back({"avgpool", AdaptiveAvgPool2d{1}});
  backbone.push_back({"flatten", Flatten{}});
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = backbone,
          .classifier = {{"fc", Linear{last, num_classes}}}};
}

}  // namespace

Family shufflenet_v2_family() {
  Family family{"shufflenet_v2", {}, {}, "fc", describe_shufflenet_v2};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
