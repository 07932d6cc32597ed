// ViT: Dosovitskiy et al. 2020, arXiv:2010.11929; names and order of torchvision/models/vision_transformer.py.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "nn/init.h"
#include "nn/mlp.h"
#include "nn/registry.h"
#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

struct Variant {
  const char* architecture;
  int64_t patch_size, layers, heads, hidden, mlp;
};

// Table 1 of the paper.
const std::vector<Variant> kVariants = {
    {"vit_b_16", 16, 12, 12, 768, 3072},  {"vit_b_32", 32, 12, 12, 768, 3072},  {"vit_l_16", 16, 24, 16, 1024, 4096},
    {"vit_l_32", 32, 24, 16, 1024, 4096}, {"vit_h_14", 14, 32, 16, 1280, 5120},
};

void draw_patches(PatchEmbedding& patches, at::Generator& generator) {
  const Conv2d& conv = patches.conv;
  const auto fan_in = static_cast<double>(conv.in_channels * conv.kernel_size.height * conv.kernel_size.width);
  trunc_normal_(patches.conv.weight, std::sqrt(1 / fan_in), generator);
  patches.conv.bias.zero_();
}

void redraw(Network& network, at::Generator& generator) {
  draw_patches(std::get<PatchEmbedding>(network.backbone.front().block), generator);
  if (auto* hidden = std::get_if<LinearActivation>(&network.backbone.back().block)) {
    trunc_normal_(hidden->linear.weight, std::sqrt(1 / static_cast<double>(hidden->linear.in_features)), generator);
    hidden->linear.bias.zero_();
  }
  auto& head = std::get<Linear>(network.classifier.back().block);
  head.weight.zero_();
  head.bias.zero_();
}

// The names in the original implementations by Google and timm, which many programs follow: docs/checkpoints.md lists
// them.
std::string older_name(const std::string& name) {
  static const std::vector<std::pair<std::string_view, std::string_view>> renamed = {
      {"class_token", "cls_token"},
      {"conv_proj.", "patch_embed.proj."},
      {"encoder.pos_embedding", "pos_embed"},
      {"encoder.layers.encoder_layer_", "blocks."},
      {"encoder.ln.", "norm."},
      {".ln_1.", ".norm1."},
      {".self_attention.in_proj_", ".attn.qkv."},
      {".self_attention.out_proj.", ".attn.proj."},
      {".ln_2.", ".norm2."},
      {".mlp.0.", ".mlp.fc1."},
      {".mlp.3.", ".mlp.fc2."},
      {"heads.head.", "head."},
  };
  std::string result = name;
  for (const auto& [ours, theirs] : renamed) {
    const size_t at = result.find(ours);
    if (at == (ours.front() == '.' ? at : 0) && at != std::string::npos) result.replace(at, ours.size(), theirs);
  }
  return result == name ? "" : result;
}

Network describe_vit(const std::string& architecture, int64_t num_classes, const Options& options) {
  const Variant& variant = *std::find_if(kVariants.begin(), kVariants.end(),
                                         [&](const Variant& v) { return architecture == v.architecture; });
  const int64_t image_size = options.integer("imageSize", 224);
  const int64_t patch_size = options.integer("patchSize", variant.patch_size);
  const int64_t layers = options.integer("numLayers", variant.layers),
                heads = options.integer("numHeads", variant.heads);
  const int64_t features = options.integer("hiddenDim", variant.hidden),
                hidden = options.integer("mlpDim", variant.mlp);
  const int64_t representation = options.integer("representationSize", 0);
  const double dropout = options.number("dropout", 0), attention_dropout = options.number("attentionDropout", 0);
  if (image_size % patch_size != 0)
    throw Error("ERR_INVALID_ARGUMENT", "imageSize: expected a multiple of " + architecture + "'s patch size, " +
                                            std::to_string(patch_size) + ", got " + std::to_string(image_size));
  if (features % heads != 0)
    throw Error("ERR_INVALID_ARGUMENT", "hiddenDim: expected a multiple of numHeads, " + std::to_string(heads) +
                                            ", got " + std::to_string(features));

  auto norm = [&](const char* name) { return Node{name, LayerNorm{features, 1e-6}}; };
  Nodes encoder;
  for (int64_t i = 0; i < layers; i++) {
    const ResidualBranch attention{.body = {norm("ln_1"),
                                            {"self_attention", MultiheadAttention{.features = features,
                                                                                  .heads = heads,
                                                                                  .dropout = attention_dropout,
                                                                                  .only_class_token = i + 1 == layers}},
                                            {"dropout", Dropout{dropout}}},
                                   .shortcut = {}};
    const ResidualBranch perceptron{.body = {norm("ln_2"), {"mlp", mlp(features, hidden, dropout)}}, .shortcut = {}};
    encoder.push_back({"encoder_layer_" + std::to_string(i), Sequential{{{"", attention}, {"", perceptron}}}});
  }
  const Conv2d patches{
      .in_channels = 3, .out_channels = features, .kernel_size = patch_size, .stride = patch_size, .has_bias = true};
  Nodes backbone = {{"", PatchEmbedding{image_size, patches}},
                    {"encoder.dropout", Dropout{dropout}},
                    {"encoder.layers", Sequential{encoder}},
                    {"", ClassToken{}},  // before the norm, which works on each token separately
                    norm("encoder.ln")};
  if (representation > 0)
    backbone.push_back(
        {"heads", LinearActivation{Linear{features, representation}, Activation::Tanh, {"pre_logits", "act"}}});
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = backbone,
          .classifier = {{"heads.head", Linear{representation > 0 ? representation : features, num_classes}}},
          .redraw = redraw,
          .older_name = older_name,
          .image_size = image_size};
}

}  // namespace

Family vision_transformer_family() {
  Family family{"vision_transformer",
                {},
                {"imageSize", "patchSize", "numLayers", "numHeads", "hiddenDim", "mlpDim", "dropout",
                 "attentionDropout", "representationSize"},
                "heads.head",
                describe_vit};
  for (const Variant& variant : kVariants) family.architectures.push_back(variant.architecture);
  return family;
}

}  // namespace visiontorch::nn
