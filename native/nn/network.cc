#include "nn/network.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

struct LayerVisitor {
  Order order;
  const std::function<void(const std::string&, Layer)>& visit;

  void operator()(const std::string& path, Nodes& nodes) const {
    for (Node& node : nodes) std::visit([&](auto& block) { (*this)(join_name(path, node.name), block); }, node.block);
  }
  void operator()(const std::string& path, Conv2dNormActivation& block) const {
    visit(join_name(path, block.names.conv), &block.conv);
    if (block.norm) visit(join_name(path, block.names.norm), &*block.norm);
  }
  void operator()(const std::string& path, LinearActivation& block) const {
    visit(join_name(path, block.names.linear), &block.linear);
  }
  void operator()(const std::string& path, Linear& linear) const { visit(path, &linear); }
  void operator()(const std::string&, MaxPool2d&) const {}
  void operator()(const std::string&, AdaptiveAvgPool2d&) const {}
  void operator()(const std::string&, Flatten&) const {}
  void operator()(const std::string&, Dropout&) const {}
  void operator()(const std::string& path, Sequential& block) const { (*this)(path, block.children); }
  // torchvision makes a block's downsample layers before the block, and registers them after the others.
  void operator()(const std::string& path, Residual& block) const {
    auto downsample = [&] {
      if (block.downsample) (*this)(path, *block.downsample);
    };
    if (order == Order::Construction) downsample();
    for (Conv2dNormActivation& part : block.body) (*this)(path, part);
    if (order == Order::Registration) downsample();
  }
  void operator()(const std::string& path, InvertedResidual& block) const {
    if (block.expand) (*this)(path, *block.expand);
    (*this)(path, block.depthwise);
    (*this)(path, block.project);
  }
};

}  // namespace

void for_each_layer(Nodes& nodes, const std::string& prefix, Order order,
                    const std::function<void(const std::string&, Layer)>& visit) {
  LayerVisitor{order, visit}(prefix, nodes);
}

std::vector<Entry> Network::entries() {
  std::vector<Entry> result;
  for (bool in_classifier : {false, true})
    for_each_layer(in_classifier ? classifier : backbone, "", Order::Registration,
                   [&](const std::string& path, Layer layer) {
                     for (const LayerTensor& entry : std::visit([](auto* each) { return each->tensors(); }, layer))
                       result.push_back({join_name(path, entry.name), entry.tensor, entry.is_parameter, in_classifier});
                   });
  return result;
}

Network Network::clone() const {
  Network copy = *this;
  for (Entry& entry : copy.entries()) *entry.tensor = entry.tensor->detach().clone();
  return copy;
}

void outline(Nodes& nodes) {
  for_each_layer(nodes, "", Order::Registration,
                 [](const std::string&, Layer layer) { std::visit([](auto* each) { each->outline(); }, layer); });
}

void check_image_size(const Network& network, int64_t height, int64_t width) {
  auto fits = [&](int64_t h, int64_t w) { return !is_empty(output_shape(network.backbone, {3, h, w})); };
  if (fits(height, width)) return;
  int64_t least = 1;
  while (!fits(least, least)) least++;
  throw Error("ERR_INVALID_ARGUMENT", "inputSize: expected at least " + std::to_string(least) + ", got " +
                                          std::to_string(std::min(height, width)) + ": the image is too small for " +
                                          network.architecture + ", which leaves nothing of it");
}

}  // namespace visiontorch::nn
