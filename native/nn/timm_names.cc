#include "nn/timm_names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string_view>
#include <utility>

namespace visiontorch::nn {

namespace {

using Renamed = std::vector<std::pair<std::string_view, std::string_view>>;

// Replaces the first of these prefixes that ends at a dot or at the end of the name.
std::string with_prefix(std::string_view name, const Renamed& prefixes) {
  for (const auto& [ours, theirs] : prefixes) {
    if (!name.starts_with(ours) || (name.size() > ours.size() && name[ours.size()] != '.')) continue;
    return std::string(theirs) + std::string(name.substr(ours.size()));
  }
  return std::string(name);
}

// Removes "12." from the start of a name and returns 12, or returns -1 if there is no number.
int take_number(std::string_view& name) {
  int value = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
  if (error != std::errc()) return -1;
  name.remove_prefix(std::min<size_t>(static_cast<size_t>(end - name.data()) + 1, name.size()));
  return value;
}

bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

// The layers of blocks in MobileNetV3 and EfficientNet. The convolution after the expansion, or after the depthwise
// one, comes third if there is an excitation.
const Renamed kDepthwiseSeparable = {{"0.0", "conv_dw"},          {"0.1", "bn1"},     {"1.fc1", "se.conv_reduce"},
                                     {"1.fc2", "se.conv_expand"}, {"1.0", "conv_pw"}, {"1.1", "bn2"},
                                     {"2.0", "conv_pw"},          {"2.1", "bn2"}};
const Renamed kInvertedResidual = {{"0.0", "conv_pw"},          {"0.1", "bn1"},
                                   {"1.0", "conv_dw"},          {"1.1", "bn2"},
                                   {"2.fc1", "se.conv_reduce"}, {"2.fc2", "se.conv_expand"},
                                   {"2.0", "conv_pwl"},         {"2.1", "bn3"},
                                   {"3.0", "conv_pwl"},         {"3.1", "bn3"}};

std::string block(int stage, int index, std::string_view rest, const Renamed& layers) {
  return "blocks." + std::to_string(stage) + '.' + std::to_string(index) + '.' + with_prefix(rest, layers);
}

std::string mobilenet_v2(std::string_view name) {
  constexpr std::array kDepths = {1, 2, 3, 4, 3, 3, 1};
  std::string_view rest = name;
  int index = take(rest, "features.") ? take_number(rest) : -1;
  if (index >= 1 && index <= 17 && take(rest, "conv.")) {
    int stage = 0;
    for (index--; index >= kDepths[static_cast<size_t>(stage)]; stage++) index -= kDepths[static_cast<size_t>(stage)];
    if (stage == 0) return block(0, 0, rest, {{"0.0", "conv_dw"}, {"0.1", "bn1"}, {"1", "conv_pw"}, {"2", "bn2"}});
    return block(
        stage, index, rest,
        {{"0.0", "conv_pw"}, {"0.1", "bn1"}, {"1.0", "conv_dw"}, {"1.1", "bn2"}, {"2", "conv_pwl"}, {"3", "bn3"}});
  }
  return with_prefix(name, {{"features.0.0", "conv_stem"},
                            {"features.0.1", "bn1"},
                            {"features.18.0", "conv_head"},
                            {"features.18.1", "bn2"},
                            {"classifier.1", "classifier"}});
}

// `depths`: how many blocks timm's stages have.
std::string mobilenet_v3(std::string_view name, std::span<const int> depths) {
  std::string_view rest = name;
  int index = take(rest, "features.") ? take_number(rest) : -1;
  size_t stage = 0;
  if (index >= 1) {
    for (index--; stage < depths.size() && index >= depths[stage]; stage++) index -= depths[stage];
    if (stage == depths.size()) return block(static_cast<int>(stage), 0, rest, {{"0", "conv"}, {"1", "bn1"}});
  }
  if (index >= 0 && take(rest, "block."))
    return block(static_cast<int>(stage), index, rest, stage == 0 ? kDepthwiseSeparable : kInvertedResidual);
  return with_prefix(name, {{"features.0.0", "conv_stem"},
                            {"features.0.1", "bn1"},
                            {"classifier.0", "conv_head"},
                            {"classifier.3", "classifier"}});
}

std::string mobilenet_v3_large(std::string_view name) {
  constexpr std::array kDepths = {1, 2, 3, 4, 2, 3};
  return mobilenet_v3(name, kDepths);
}

std::string mobilenet_v3_small(std::string_view name) {
  constexpr std::array kDepths = {1, 2, 3, 2, 3};
  return mobilenet_v3(name, kDepths);
}

std::string mnasnet(std::string_view name) {
  std::string_view rest = name;
  const int stage = take(rest, "layers.") ? take_number(rest) : -1;
  if (stage >= 8 && stage <= 13) {
    const int index = take_number(rest);
    if (take(rest, "layers."))
      return block(stage - 7, index, rest,
                   {{"0", "conv_pw"}, {"1", "bn1"}, {"3", "conv_dw"}, {"4", "bn2"}, {"6", "conv_pwl"}, {"7", "bn3"}});
  }
  return with_prefix(name, {{"layers.0", "conv_stem"},
                            {"layers.1", "bn1"},
                            {"layers.3", "blocks.0.0.conv_dw"},
                            {"layers.4", "blocks.0.0.bn1"},
                            {"layers.6", "blocks.0.0.conv_pw"},
                            {"layers.7", "blocks.0.0.bn2"},
                            {"layers.14", "conv_head"},
                            {"layers.15", "bn2"},
                            {"classifier.1", "classifier"}});
}

std::string efficientnet(std::string_view name) {
  std::string_view rest = name;
  const int stage = take(rest, "features.") ? take_number(rest) : -1;
  if (stage >= 1 && stage <= 7) {
    const int index = take_number(rest);
    if (!take(rest, "block.")) return std::string(name);
    return block(stage - 1, index, rest, stage == 1 ? kDepthwiseSeparable : kInvertedResidual);
  }
  return with_prefix(name, {{"features.0.0", "conv_stem"},
                            {"features.0.1", "bn1"},
                            {"features.8.0", "conv_head"},
                            {"features.8.1", "bn2"},
                            {"classifier.1", "classifier"}});
}

// `head`: the number of the last convolution among torchvision's features. The first stages have fused blocks.
std::string efficientnet_v2(std::string_view name, int head) {
  std::string_view rest = name;
  const int stage = take(rest, "features.") ? take_number(rest) : -1;
  if (stage == head) return with_prefix(rest, {{"0", "conv_head"}, {"1", "bn2"}});
  if (stage >= 1) {
    const int index = take_number(rest);
    if (!take(rest, "block.")) return std::string(name);
    if (stage == 1) return block(0, index, rest, {{"0.0", "conv"}, {"0.1", "bn1"}});
    if (stage <= 3)
      return block(stage - 1, index, rest, {{"0.0", "conv_exp"}, {"0.1", "bn1"}, {"1.0", "conv_pwl"}, {"1.1", "bn2"}});
  }
  return efficientnet(name);
}

std::string efficientnet_v2_s(std::string_view name) { return efficientnet_v2(name, 7); }

std::string efficientnet_v2_ml(std::string_view name) { return efficientnet_v2(name, 8); }

std::string convnext(std::string_view name) {
  std::string_view rest = name;
  const int part = take(rest, "features.") ? take_number(rest) : -1;
  if (part == 0) return "stem." + std::string(rest);
  if (part > 0 && part % 2 == 0) return "stages." + std::to_string(part / 2) + ".downsample." + std::string(rest);
  if (part > 0) {
    const int index = take_number(rest);
    return "stages." + std::to_string(part / 2) + ".blocks." + std::to_string(index) + '.' +
           with_prefix(rest, {{"layer_scale", "gamma"},
                              {"block.0", "conv_dw"},
                              {"block.2", "norm"},
                              {"block.3", "mlp.fc1"},
                              {"block.5", "mlp.fc2"}});
  }
  return with_prefix(name, {{"classifier.0", "head.norm"}, {"classifier.2", "head.fc"}});
}

std::string swin(std::string_view name) {
  std::string_view rest = name;
  const int part = take(rest, "features.") ? take_number(rest) : -1;
  if (part > 0 && part % 2 == 0) return "layers." + std::to_string(part / 2) + ".downsample." + std::string(rest);
  if (part > 0) {
    const int index = take_number(rest);
    return "layers." + std::to_string(part / 2) + ".blocks." + std::to_string(index) + '.' +
           with_prefix(rest, {{"mlp.0", "mlp.fc1"}, {"mlp.3", "mlp.fc2"}});
  }
  return with_prefix(name,
                     {{"features.0.0", "patch_embed.proj"}, {"features.0.2", "patch_embed.norm"}, {"head", "head.fc"}});
}

std::string swin_v2(std::string_view name) {
  std::string result = swin(name);
  if (result.ends_with(".attn.qkv.bias")) result.replace(result.size() - 8, 8, "q_bias");
  return result;
}

std::string regnet(std::string_view name) {
  std::string_view rest = name;
  if (take(rest, "trunk_output.block")) {
    const int stage = take_number(rest);
    const std::string prefix = "block" + std::to_string(stage) + '-';
    const int index = take(rest, prefix) ? take_number(rest) : -1;
    return 's' + std::to_string(stage) + ".b" + std::to_string(index + 1) + '.' +
           with_prefix(rest, {{"proj.0", "downsample.conv"},
                              {"proj.1", "downsample.bn"},
                              {"f.a.0", "conv1.conv"},
                              {"f.a.1", "conv1.bn"},
                              {"f.b.0", "conv2.conv"},
                              {"f.b.1", "conv2.bn"},
                              {"f.se", "se"},
                              {"f.c.0", "conv3.conv"},
                              {"f.c.1", "conv3.bn"}});
  }
  return with_prefix(name, {{"stem.0", "stem.conv"}, {"stem.1", "stem.bn"}, {"fc", "head.fc"}});
}

std::string vgg(std::string_view name) {
  return with_prefix(
      name, {{"classifier.0", "pre_logits.fc1"}, {"classifier.3", "pre_logits.fc2"}, {"classifier.6", "head.fc"}});
}

std::string same(std::string_view name) { return std::string(name); }

struct FamilyNames {
  std::string_view architecture;  // the start of its name
  std::string (*name)(std::string_view name);
  bool default_eps = false;  // whether timm's batch norms have PyTorch's epsilon, but torchvision's may have another
};

constexpr FamilyNames kFamilies[] = {
    {"mobilenet_v2", mobilenet_v2},
    {"mobilenet_v3_large", mobilenet_v3_large, true},
    {"mobilenet_v3_small", mobilenet_v3_small, true},
    {"mnasnet", mnasnet},
    {"efficientnet_b", efficientnet, true},
    {"efficientnet_v2_s", efficientnet_v2_s, true},
    {"efficientnet_v2_", efficientnet_v2_ml, true},
    {"convnext_", convnext},
    {"swin_t", swin},
    {"swin_s", swin},
    {"swin_b", swin},
    {"swin_v2_", swin_v2},
    {"regnet_", regnet},
    {"vgg", vgg},
    {"resnet", same},
    {"resnext", same},
    {"wide_resnet", same},
    {"densenet", same},
    {"inception_v3", same},
    {"vit_", nullptr},  // its older names are timm's
};

const FamilyNames* find_family(const std::string& architecture) {
  const auto* found = std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const FamilyNames& family) {
    return architecture.starts_with(family.architecture);
  });
  return found == std::end(kFamilies) ? nullptr : found;
}

bool has_default_eps(const Network& network) {
  bool result = true;
  Nodes backbone = network.backbone;  // not const for visitors
  for_each_layer(backbone, "", [&](const std::string&, Layer layer) {
    if (auto* norm = std::get_if<BatchNorm2d*>(&layer)) result = result && (*norm)->eps == BatchNormOptions{}.eps;
  });
  return result;
}

}  // namespace

bool is_in_timm(const Network& network) {
  const FamilyNames* family = find_family(network.architecture);
  return family != nullptr && (!family->default_eps || has_default_eps(network));
}

std::string timm_name(const Network& network, const std::string& name) {
  const FamilyNames* family = find_family(network.architecture);
  if (family == nullptr) return name;
  if (family->name != nullptr) return family->name(name);
  const std::string older = network.older_name(name);
  return older.empty() ? name : older;
}

std::string timm_second_name(const std::string& timm_name) {
  if (!timm_name.ends_with(".q_bias")) return "";
  return timm_name.substr(0, timm_name.size() - 6) + "v_bias";
}

std::vector<int64_t> timm_shape(const std::string& timm_name, at::IntArrayRef shape) {
  if (timm_name.ends_with(".q_bias")) return {shape[0] / 3};
  if (timm_name.ends_with(".gamma")) return {c10::multiply_integers(shape)};
  if (timm_name == "conv_head.weight") return {shape[0], shape[1], 1, 1};  // MobileNetV3's is linear in torchvision
  // VGG's hidden layers are convolutions there: the first of 7 x 7 pixels.
  if (timm_name == "pre_logits.fc1.weight") return {shape[0], shape[1] / 49, 7, 7};
  if (timm_name == "pre_logits.fc2.weight") return {shape[0], shape[1], 1, 1};
  return shape.vec();
}

}  // namespace visiontorch::nn
