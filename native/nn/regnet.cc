// RegNet: Radosavovic et al. 2020, arXiv:2003.13678; names and order of torchvision/models/regnet.py.
#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

struct Variant {
  const char* architecture;
  int64_t depth;
  int64_t w_0;      // the first block's width
  double w_a, w_m;  // the slope of the widths and their step: section 3.3 of the paper
  int64_t group_width;
  double se_ratio = 0;  // RegNetY
};

const std::vector<Variant> kVariants = {
    {"regnet_y_400mf", 16, 48, 27.89, 2.09, 8, 0.25},    {"regnet_y_800mf", 14, 56, 38.84, 2.4, 16, 0.25},
    {"regnet_y_1_6gf", 27, 48, 20.71, 2.65, 24, 0.25},   {"regnet_y_3_2gf", 21, 80, 42.63, 2.66, 24, 0.25},
    {"regnet_y_8gf", 17, 192, 76.82, 2.19, 56, 0.25},    {"regnet_y_16gf", 18, 200, 106.23, 2.48, 112, 0.25},
    {"regnet_y_32gf", 20, 232, 115.89, 2.53, 232, 0.25}, {"regnet_y_128gf", 27, 456, 160.83, 2.52, 264, 0.25},
    {"regnet_x_400mf", 22, 24, 24.48, 2.54, 16},         {"regnet_x_800mf", 16, 56, 35.73, 2.28, 16},
    {"regnet_x_1_6gf", 18, 80, 34.01, 2.25, 24},         {"regnet_x_3_2gf", 25, 88, 26.31, 2.25, 48},
    {"regnet_x_8gf", 23, 80, 49.56, 2.88, 120},          {"regnet_x_16gf", 22, 216, 55.59, 2.1, 128},
    {"regnet_x_32gf", 23, 320, 69.86, 2.0, 168},
};

// Returns the widths of all blocks: linear in the block's number, then rounded to a power of w_m and to a multiple of
// 8.
std::vector<int64_t> block_widths(const Variant& variant) {
  constexpr double kQuantum = 8;
  const auto w_0 = static_cast<double>(variant.w_0);
  std::vector<int64_t> widths;
  for (int64_t i = 0; i < variant.depth; i++) {
    const double linear = static_cast<double>(i) * variant.w_a + w_0;
    const double exponent = std::nearbyint(std::log(linear / w_0) / std::log(variant.w_m));
    widths.push_back(static_cast<int64_t>(std::nearbyint(w_0 * std::pow(variant.w_m, exponent) / kQuantum) * kQuantum));
  }
  return widths;
}

Residual bottleneck(int64_t in, int64_t out, int64_t stride, int64_t group_width, double se_ratio) {
  auto conv_norm = [&](const char* name, int64_t inputs, int64_t kernel, int64_t step, int64_t groups,
                       std::optional<Activation> activation) {
    const std::string path = name;
    return conv_norm_activation(
        {.in_channels = inputs, .out_channels = out, .kernel_size = kernel, .stride = step, .groups = groups},
        activation, {}, {path + ".0", path + ".1", path + ".2"});
  };
  Residual block{.body = {conv_norm("f.a", in, 1, 1, 1, Activation::ReLU),
                          conv_norm("f.b", out, 3, stride, out / group_width, Activation::ReLU),
                          conv_norm("f.c", out, 1, 1, 1, std::nullopt)},
                 .activation = Activation::ReLU,
                 .registers_downsample_first = true};
  if (in != out || stride != 1) block.downsample = conv_norm("proj", in, 1, stride, 1, std::nullopt);
  if (se_ratio > 0) {
    const auto squeezed = static_cast<int64_t>(std::nearbyint(se_ratio * static_cast<double>(in)));
    block.excitation.emplace(out, squeezed, Activation::ReLU, Activation::Sigmoid, "f.se");
  }
  return block;
}

// As in torchvision, the biases of the excitations keep PyTorch's default.
void redraw(Network& network, at::Generator& generator) {
  redraw_layers(network, [&](Layer layer) {
    std::visit(Overload{
                   [&](Conv2d* conv) {
                     const int64_t fan_out = conv->kernel_size.height * conv->kernel_size.width * conv->out_channels;
                     conv->weight.normal_(0, std::sqrt(2.0 / static_cast<double>(fan_out)), generator);
                   },
                   [&](Linear* linear) {
                     linear->weight.normal_(0, 0.01, generator);
                     linear->bias.zero_();
                   },
                   [](auto*) {},
               },
               layer);
  });
}

Network describe_regnet(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  int64_t channels = options.integer("stemWidth", 32);
  const Conv2d stem{.in_channels = 3, .out_channels = channels, .kernel_size = 3, .stride = 2};

  // Blocks of the same width form a stage, whose first block has stride 2.
  Nodes stages, blocks;
  const std::vector<int64_t> widths = block_widths(variant);
  for (size_t i = 0; i < widths.size(); i++) {
    const std::string stage = std::to_string(stages.size() + 1);
    const int64_t group_width = std::min(variant.group_width, widths[i]);
    const int64_t width = make_divisible(static_cast<double>(widths[i]), group_width);
    blocks.push_back({"block" + stage + "-" + std::to_string(blocks.size()),
                      bottleneck(channels, width, blocks.empty() ? 2 : 1, group_width, variant.se_ratio)});
    channels = width;
    if (i + 1 < widths.size() && widths[i + 1] == widths[i]) continue;
    stages.push_back({"block" + stage, Sequential{std::exchange(blocks, {})}});
  }

  return {architecture,
          num_classes,
          {{"stem", conv_norm_activation(stem, Activation::ReLU)},
           {"trunk_output", Sequential{stages}},
           {"avgpool", AdaptiveAvgPool2d{1}},
           {"flatten", Flatten{}}},
          {{"fc", Linear{channels, num_classes}}},
          redraw};
}

}  // namespace

Family regnet_family() {
  Family family{"regnet", {}, {"stemWidth"}, "fc", describe_regnet};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
