#include "nn/network.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

struct LayerVisitor {
  const std::function<void(const std::string&, Layer)>& visit;
  const std::function<void(Sequential&)>* made = nullptr;  // set when visiting in the order of construction

  void operator()(const std::string& path, Nodes& nodes) const {
    auto is_last = [](const Node& node) {
      auto* auxiliary = std::get_if<AuxiliaryHead>(&node.block);
      return auxiliary && auxiliary->is_registered_last;
    };
    for (bool last : {false, true})
      for (Node& node : nodes)
        if (is_last(node) == last) (*this)(path, node);
  }
  void operator()(const std::string& path, Node& node) const {
    std::visit([&](auto& block) { (*this)(join_name(path, node.name), block); }, node.block);
  }
  void operator()(const std::string& path, Conv2dNormActivation& block) const {
    visit(join_name(path, block.names.conv), &block.conv);
    if (block.norm) visit(join_name(path, block.names.norm), &*block.norm);
  }
  void operator()(const std::string& path, NormActivation& block) const {
    visit(join_name(path, block.names.norm), &block.norm);
  }
  void operator()(const std::string& path, PreactivatedConvolution& block) const {
    (*this)(path, block.before);
    (*this)(path, block.convolution);
  }
  void operator()(const std::string& path, DenseBlock& block) const {
    for (DenseLayer& layer : block.layers) {
      const std::string name = join_name(path, layer.name);
      (*this)(name, layer.hidden);
      (*this)(name, layer.growth);
    }
  }
  void operator()(const std::string& path, LinearActivation& block) const {
    visit(join_name(path, block.names.linear), &block.linear);
  }
  void operator()(const std::string& path, BatchNorm2d& norm) const { visit(path, &norm); }
  void operator()(const std::string& path, Linear& linear) const { visit(path, &linear); }
  void operator()(const std::string& path, LayerNorm& norm) const { visit(path, &norm); }
  void operator()(const std::string&, Activation&) const {}
  void operator()(const std::string&, MaxPool2d&) const {}
  void operator()(const std::string&, AvgPool2d&) const {}
  void operator()(const std::string&, AdaptiveAvgPool2d&) const {}
  void operator()(const std::string&, Flatten&) const {}
  void operator()(const std::string&, Permute&) const {}
  void operator()(const std::string&, ChannelSlice&) const {}
  void operator()(const std::string&, ChannelShuffle&) const {}
  void operator()(const std::string&, ChannelAffine&) const {}
  void operator()(const std::string&, Dropout&) const {}
  void operator()(const std::string& path, AuxiliaryHead& block) const { (*this)(path, block.head); }
  void operator()(const std::string& path, SqueezeExcitation& block) const {
    const std::string name = join_name(path, block.name);
    visit(join_name(name, "fc1"), &block.fc1);
    visit(join_name(name, "fc2"), &block.fc2);
  }
  void operator()(const std::string& path, Sequential& block) const {
    (*this)(path, block.children);
    if (made) (*made)(block);
  }
  void operator()(const std::string& path, Concat& block) const { (*this)(path, block.branches); }
  // torchvision constructs a block's downsample layers before the block.
  void operator()(const std::string& path, Residual& block) const {
    const bool downsample_first = made || block.registers_downsample_first;
    if (block.downsample && downsample_first) (*this)(path, *block.downsample);
    for (Conv2dNormActivation& part : block.body) {
      if (block.excitation && &part == &block.body.back()) (*this)(path, *block.excitation);
      (*this)(path, part);
    }
    if (block.downsample && !downsample_first) (*this)(path, *block.downsample);
  }
  void operator()(const std::string& path, InvertedResidual& block) const {
    if (block.expand) (*this)(path, *block.expand);
    (*this)(path, block.depthwise);
    if (block.excitation) (*this)(path, *block.excitation);
    (*this)(path, block.project);
  }
  void operator()(const std::string& path, ResidualBranch& block) const {
    if (!made) visit(path, &block);
    (*this)(path, block.shortcut);
    auto begin = block.body.begin(), end = block.body.end();
    if (block.registers_last_first) (*this)(path, *--end);
    for (; begin != end; ++begin) (*this)(path, *begin);
    if (made) visit(path, &block);
  }
  void operator()(const std::string& path, PatchEmbedding& block) const { visit(path, &block); }
  void operator()(const std::string&, ClassToken&) const {}
  // The constructors of torchvision and PyTorch make an attention's linear layers before its own tensors.
  void operator()(const std::string& path, MultiheadAttention& block) const {
    if (!made) visit(path, &block);
    visit(join_name(path, "out_proj"), &block.out_proj);
    if (made) visit(path, &block);
  }
  void operator()(const std::string& path, WindowAttention& block) const {
    if (!made) visit(path, &block);
    visit(join_name(path, block.names.qkv), &block.qkv);
    visit(join_name(path, block.names.proj), &block.proj);
    if (block.kind == WindowAttention::Kind::SwinV2) {
      visit(join_name(path, "cpb_mlp.0"), &block.bias_hidden);
      visit(join_name(path, "cpb_mlp.2"), &block.bias_out);
    }
    if (made) visit(path, &block);
  }
  void operator()(const std::string& path, PatchMerging& block) const {
    visit(join_name(path, "reduction"), &block.reduction);
    visit(join_name(path, "norm"), &block.norm);
  }
};

}  // namespace

void for_each_layer(Nodes& nodes, const std::string& prefix,
                    const std::function<void(const std::string&, Layer)>& visit) {
  LayerVisitor{visit}(prefix, nodes);
}

void for_each_constructed(Nodes& nodes, const std::function<void(Layer)>& visit,
                          const std::function<void(Sequential&)>& made) {
  LayerVisitor{[&](const std::string&, Layer layer) { visit(layer); }, &made}("", nodes);
}

std::vector<Entry> Network::entries() {
  std::vector<Entry> result;
  for (bool in_classifier : {false, true})
    for_each_layer(in_classifier ? classifier : backbone, "", [&](const std::string& path, Layer layer) {
      const bool in_norm = std::holds_alternative<BatchNorm2d*>(layer) || std::holds_alternative<LayerNorm*>(layer);
      for (const LayerTensor& entry : std::visit([](auto* each) { return each->tensors(); }, layer))
        result.push_back({join_name(path, entry.name), entry.tensor, entry.is_parameter, in_classifier, in_norm,
                          entry.is_positions});
    });
  return result;
}

Network Network::clone() const {
  Network copy = *this;
  for (Entry& entry : copy.entries()) *entry.tensor = entry.tensor->detach().clone();
  return copy;
}

void for_each_auxiliary_head(Nodes& nodes, const std::function<void(AuxiliaryHead&)>& visit) {
  for (Node& node : nodes)
    if (auto* auxiliary = std::get_if<AuxiliaryHead>(&node.block)) visit(*auxiliary);
}

namespace {

Stage stage_of(Node& node, const std::string& prefix) {
  Stage stage;
  LayerVisitor visitor{[&](const std::string& path, Layer layer) {
    for (const LayerTensor& tensor : std::visit([](auto* each) { return each->tensors(); }, layer)) {
      const std::string name = join_name(path, tensor.name);
      const size_t dot = name.rfind('.');
      std::string module = dot == std::string::npos ? "" : name.substr(0, dot);
      if (stage.layers.empty() || stage.layers.back() != module) stage.layers.push_back(std::move(module));
    }
  }};
  std::visit([&](auto& block) { visitor(join_name(prefix, node.name), block); }, node.block);
  if (!stage.layers.empty()) {
    stage.name = join_name(prefix, node.name);
    for (auto layer = stage.layers.begin(); stage.name.empty() && layer != stage.layers.end(); ++layer)
      stage.name = *layer;
  }
  return stage;
}

}  // namespace

std::vector<Stage> stages(Network& network) {
  std::vector<Stage> result;
  std::vector<size_t> sequentials;  // stages with children
  std::vector<Node*> nodes;
  for (Node& node : network.backbone) {
    Stage stage = stage_of(node, "");
    if (stage.layers.empty()) continue;
    if (std::holds_alternative<Sequential>(node.block)) sequentials.push_back(result.size());
    result.push_back(std::move(stage));
    nodes.push_back(&node);
  }
  if (sequentials.size() != 1) return result;
  const auto position = result.begin() + static_cast<int64_t>(sequentials[0]);
  Node& parent = *nodes[sequentials[0]];
  std::vector<Stage> children;
  for (Node& child : std::get<Sequential>(parent.block).children)
    if (Stage stage = stage_of(child, parent.name); !stage.layers.empty()) children.push_back(std::move(stage));
  result.insert(result.erase(position), children.begin(), children.end());
  return result;
}

void outline(Nodes& nodes) {
  for_each_layer(nodes, "",
                 [](const std::string&, Layer layer) { std::visit([](auto* each) { each->outline(); }, layer); });
}

void check_image_size(const Network& network, int64_t height, int64_t width) {
  if (network.image_size) {
    const int64_t size = *network.image_size;
    if (height == size && width == size) return;
    throw Error("ERR_INVALID_ARGUMENT",
                "inputSize: expected " + std::to_string(size) + ", got " +
                    std::to_string(height == size ? width : height) + ": this " + network.architecture +
                    " takes images of one size only. For another size, create it with the option imageSize");
  }
  auto fits = [&](int64_t h, int64_t w) { return !is_empty(output_shape(network.backbone, {3, h, w})); };
  if (fits(height, width)) return;
  int64_t least = 1;
  while (!fits(least, least)) least++;
  throw Error("ERR_INVALID_ARGUMENT", "inputSize: expected at least " + std::to_string(least) + ", got " +
                                          std::to_string(std::min(height, width)) + ": the image is too small for " +
                                          network.architecture + ", which would reduce it to nothing");
}

}  // namespace visiontorch::nn
