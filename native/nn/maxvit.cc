// MaxViT: Tu et al. 2022, arXiv:2204.01697; names and order of torchvision/models/maxvit.py.
#include <ATen/ATen.h>

#include <array>

#include "nn/init.h"
#include "nn/registry.h"
#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

constexpr int64_t kStem = 64, kHead = 32, kWindow = 7;  // channels of the stem and of a head; tokens per side
constexpr std::array<int64_t, 4> kChannels = {64, 128, 256, 512}, kLayers = {2, 2, 5, 2};

struct Settings {
  double squeeze_ratio, expansion_ratio, attention_dropout, mlp_dropout;
  int64_t mlp_ratio;
};

BatchNorm2d batch_norm(int64_t channels) { return {.num_features = channels, .eps = 1e-3, .momentum = 0.01}; }

Conv2dNormActivation conv_norm(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
  return {.conv = {.in_channels = in,
                   .out_channels = out,
                   .kernel_size = kernel,
                   .stride = stride,
                   .padding = kernel / 2,
                   .groups = groups},
          .norm = batch_norm(out),
          .activation = Activation::GELU};
}

Conv2dNormActivation plain_conv(int64_t in, int64_t out, int64_t kernel) {
  return {
      .conv = {.in_channels = in, .out_channels = out, .kernel_size = kernel, .padding = kernel / 2, .has_bias = true},
      .norm = {},
      .activation = {},
      .names = {"", "", ""}};
}

// A mobile inverted bottleneck, preceded by a norm.
ResidualBranch mbconv(int64_t in, int64_t out, int64_t stride, const Settings& settings, double stochastic_depth) {
  const auto hidden = static_cast<int64_t>(static_cast<double>(out) * settings.expansion_ratio);
  const auto squeezed = static_cast<int64_t>(static_cast<double>(out) * settings.squeeze_ratio);
  Nodes shortcut;
  if (stride == 2) shortcut = {{"proj.0", AvgPool2d{3, 2, 1}}, {"proj.1", plain_conv(in, out, 1)}};
  return {.body = {{"layers.pre_norm", batch_norm(in)},
                   {"layers.conv_a", conv_norm(in, hidden, 1)},
                   {"layers.conv_b", conv_norm(hidden, hidden, 3, stride, hidden)},
                   {"layers.squeeze_excitation",
                    SqueezeExcitation(hidden, squeezed, Activation::SiLU, Activation::Sigmoid, "")},
                   {"layers.conv_c", plain_conv(hidden, out, 1)}},
          .shortcut = shortcut,
          .stochastic_depth = stochastic_depth};
}

// torchvision partitions the image before it applies the block to the windows. Here the attention does that, and the
// image stays whole.
Sequential attention(WindowAttention::Kind kind, int64_t channels, const Settings& settings, double stochastic_depth) {
  const WindowAttention attend{
      .kind = kind, .channels = channels, .heads = channels / kHead, .window = kWindow, .names = {"to_qkv", "merge"}};
  const int64_t hidden = channels * settings.mlp_ratio;
  return {{{"", ResidualBranch{.body = {{"attn_layer.0", LayerNorm{channels}},
                                        {"attn_layer.1", attend},
                                        {"attn_layer.2", Dropout{settings.attention_dropout}}},
                               .shortcut = {},
                               .stochastic_depth = stochastic_depth}},
           {"", ResidualBranch{
                    .body = {{"mlp_layer.0", LayerNorm{channels}},
                             {"mlp_layer", LinearActivation{Linear{channels, hidden}, Activation::GELU, {"1", "2"}}},
                             {"mlp_layer.3", Linear{hidden, channels}},
                             {"mlp_layer.4", Dropout{settings.mlp_dropout}}},
                    .shortcut = {},
                    .stochastic_depth = stochastic_depth}}}};
}

void redraw(Network& network, at::Generator& generator) {
  auto draw = [&](at::Tensor& weight, at::Tensor& bias) {
    weight.normal_(0, 0.02, generator);
    if (bias.defined()) bias.zero_();
  };
  redraw_layers(network, [&](Layer layer) {
    std::visit(Overload{[&](Conv2d* conv) { draw(conv->weight, conv->bias); },
                        [&](Linear* linear) { draw(linear->weight, linear->bias); }, [](auto*) {}},
               layer);
  });
}

Network describe_maxvit(const std::string& architecture, int64_t num_classes, const Options& options) {
  using Kind = WindowAttention::Kind;
  const int64_t image_size = options.integer("imageSize", 224);
  constexpr int64_t kStep = kWindow << (1 + kChannels.size());  // the stem and each block halve the size
  if (image_size % kStep != 0)
    throw Error("ERR_INVALID_ARGUMENT", "imageSize: expected a multiple of " + std::to_string(kStep) + " for " +
                                            architecture + ", got " + std::to_string(image_size));
  const Settings settings{.squeeze_ratio = options.number("squeezeRatio", 0.25),
                          .expansion_ratio = options.number("expansionRatio", 4),
                          .attention_dropout = options.number("attentionDropout", 0),
                          .mlp_dropout = options.number("mlpDropout", 0),
                          .mlp_ratio = options.integer("mlpRatio", 4)};
  const double stochastic_depth = options.number("stochasticDepthProb", 0.2);
  int64_t count = -1, index = 0;
  for (int64_t layers : kLayers) count += layers;

  Nodes backbone = {{"stem.0", conv_norm(3, kStem, 3, 2)}, {"stem.1.0", plain_conv(kStem, kStem, 3)}};
  int64_t in = kStem;
  for (size_t block = 0; block < kChannels.size(); block++) {
    const int64_t channels = kChannels[block];
    for (int64_t i = 0; i < kLayers[block]; i++, index++) {
      const double probability = stochastic_depth * static_cast<double>(index) / static_cast<double>(count);
      const std::string name = "blocks." + std::to_string(block) + ".layers." + std::to_string(i) + ".layers";
      backbone.push_back(
          {name, Sequential{{{"MBconv", mbconv(in, channels, i == 0 ? 2 : 1, settings, probability)},
                             {"", Permute{{1, 2, 0}}},
                             {"window_attention", attention(Kind::MaxViT, channels, settings, probability)},
                             {"grid_attention", attention(Kind::Grid, channels, settings, probability)},
                             {"", Permute{{2, 0, 1}}}}}});
      in = channels;
    }
  }
  backbone.push_back({"classifier.0", AdaptiveAvgPool2d{1}});
  backbone.push_back({"classifier.1", Flatten{}});
  backbone.push_back({"classifier.2", LayerNorm{in}});
  backbone.push_back({"classifier", LinearActivation{Linear{in, in}, Activation::Tanh, {"3", "4"}}});
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = backbone,
          .classifier = {{"classifier.5", Linear{in, num_classes, false}}},
          .redraw = redraw,
          .image_size = image_size};
}

}  // namespace

Family maxvit_family() {
  return {"maxvit",
          {"maxvit_t"},
          {"imageSize", "squeezeRatio", "expansionRatio", "mlpRatio", "mlpDropout", "attentionDropout",
           "stochasticDepthProb"},
          "classifier.5",
          describe_maxvit};
}

}  // namespace visiontorch::nn
