// Swin Transformer: Liu et al. 2021, arXiv:2103.14030; version 2: Liu et al. 2022, arXiv:2111.09883. Names and order of
// torchvision/models/swin_transformer.py.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "nn/init.h"
#include "nn/mlp.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

using Kind = WindowAttention::Kind;

struct Variant {
  const char* architecture;
  Kind kind;
  int64_t channels;
  std::array<int64_t, 4> depths, heads;
  int64_t window;
  double stochastic_depth;
};

const std::vector<Variant> kVariants = {
    {"swin_t", Kind::Swin, 96, {2, 2, 6, 2}, {3, 6, 12, 24}, 7, 0.2},
    {"swin_s", Kind::Swin, 96, {2, 2, 18, 2}, {3, 6, 12, 24}, 7, 0.3},
    {"swin_b", Kind::Swin, 128, {2, 2, 18, 2}, {4, 8, 16, 32}, 7, 0.5},
    {"swin_v2_t", Kind::SwinV2, 96, {2, 2, 6, 2}, {3, 6, 12, 24}, 8, 0.2},
    {"swin_v2_s", Kind::SwinV2, 96, {2, 2, 18, 2}, {3, 6, 12, 24}, 8, 0.3},
    {"swin_v2_b", Kind::SwinV2, 128, {2, 2, 18, 2}, {4, 8, 16, 32}, 8, 0.5},
};

// x + norm2(mlp(...)) in version 2 instead of x + mlp(norm2(...)); the norm is registered first in both.
ResidualBranch branch(const Variant& variant, const char* norm, int64_t channels, Node node, double stochastic_depth) {
  ResidualBranch result{
      .body = {{norm, LayerNorm{channels}}, std::move(node)}, .shortcut = {}, .stochastic_depth = stochastic_depth};
  if (variant.kind == Kind::SwinV2) {
    std::swap(result.body[0], result.body[1]);
    result.registers_last_first = true;
  }
  return result;
}

void redraw(Network& network, at::Generator& generator) {
  redraw_layers(network, [&](Layer layer) {
    auto* linear = std::get_if<Linear*>(&layer);
    if (linear == nullptr) return;
    trunc_normal_((*linear)->weight, 0.02, generator);
    if ((*linear)->has_bias) (*linear)->bias.zero_();
  });
}

// The names in Microsoft's original implementation, which many programs follow: docs/checkpoints.md lists them.
std::string older_name(const std::string& name) {
  static const std::vector<std::pair<std::string_view, std::string_view>> renamed = {
      {"features.0.0.", "patch_embed.proj."},
      {"features.0.2.", "patch_embed.norm."},
      {"features.1.", "layers.0.blocks."},
      {"features.2.", "layers.0.downsample."},
      {"features.3.", "layers.1.blocks."},
      {"features.4.", "layers.1.downsample."},
      {"features.5.", "layers.2.blocks."},
      {"features.6.", "layers.2.downsample."},
      {"features.7.", "layers.3.blocks."},
      {".mlp.0.", ".mlp.fc1."},
      {".mlp.3.", ".mlp.fc2."},
  };
  std::string result = name;
  for (const auto& [ours, theirs] : renamed) {
    const size_t at = result.find(ours);
    if (at == (ours.front() == '.' ? at : 0) && at != std::string::npos) result.replace(at, ours.size(), theirs);
  }
  return result == name ? "" : result;
}

Network describe_swin(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  const double mlp_ratio = options.number("mlpRatio", 4);
  const double dropout = options.number("dropout", 0), attention_dropout = options.number("attentionDropout", 0);
  const double stochastic_depth = options.number("stochasticDepthProb", variant.stochastic_depth);
  int64_t count = -1, index = 0;
  for (int64_t depth : variant.depths) count += depth;

  int64_t channels = variant.channels;
  const Conv2d patches{.in_channels = 3, .out_channels = channels, .kernel_size = 4, .stride = 4, .has_bias = true};
  Nodes features = {{"0", Sequential{{{"0", Conv2dNormActivation{patches, {}, {}, {"", "", ""}}},
                                      {"1", Permute{{1, 2, 0}}},
                                      {"2", LayerNorm{channels}}}}}};
  auto next_name = [&] { return std::to_string(features.size()); };
  for (size_t stage = 0; stage < variant.depths.size(); stage++) {
    if (stage > 0) {
      features.push_back({next_name(), PatchMerging{channels, variant.kind == Kind::Swin}});
      channels *= 2;
    }
    Nodes blocks;
    for (int64_t i = 0; i < variant.depths[stage]; i++, index++) {
      const double probability = stochastic_depth * static_cast<double>(index) / static_cast<double>(count);
      const WindowAttention attention{.kind = variant.kind,
                                      .channels = channels,
                                      .heads = variant.heads[stage],
                                      .window = variant.window,
                                      .shift = i % 2 == 0 ? 0 : variant.window / 2,
                                      .dropout = attention_dropout};
      const auto hidden = static_cast<int64_t>(static_cast<double>(channels) * mlp_ratio);
      Node attend{"", Sequential{{{"attn", attention}, {"attn.dropout", Dropout{dropout}}}}};
      Node perceive{"mlp", mlp(channels, hidden, dropout)};
      blocks.push_back({std::to_string(i),
                        Sequential{{{"", branch(variant, "norm1", channels, std::move(attend), probability)},
                                    {"", branch(variant, "norm2", channels, std::move(perceive), probability)}}}});
    }
    features.push_back({next_name(), Sequential{blocks}});
  }
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = {{"features", Sequential{features}},
                       {"norm", LayerNorm{channels}},
                       {"permute", Permute{{2, 0, 1}}},
                       {"avgpool", AdaptiveAvgPool2d{1}},
                       {"flatten", Flatten{}}},
          .classifier = {{"head", Linear{channels, num_classes}}},
          .redraw = redraw,
          .older_name = variant.kind == Kind::Swin ? older_name : nullptr};
}

}  // namespace

Family swin_transformer_family() {
  Family family{"swin_transformer",
                {},
                {"mlpRatio", "dropout", "attentionDropout", "stochasticDepthProb"},
                "head",
                describe_swin};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
