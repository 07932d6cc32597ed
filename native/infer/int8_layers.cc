#include "infer/int8_layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "ops/int8.h"

namespace visiontorch::infer {

at::Tensor from_bytes(const at::Tensor& x, const nn::ByteScale& scale) {
  return x.to(at::kFloat).sub_(scale.zero_point).mul_(scale.scale);
}

namespace {

using Scale = std::optional<nn::ByteScale>;
using Layers = std::unordered_map<const void*, Int8Layer>;
using Excited = std::unordered_map<const void*, nn::ByteScale>;

bool has_kernel(const nn::Conv2d& conv) {
  return ops::Int8Convolution::supports(conv) || ops::Int8Depthwise::supports(conv);
}

// Goes through the nodes backwards. Each function takes in which bytes the block's result is wanted, and returns in
// which the block wants its input; null means float32.
class Flow {
 public:
  Flow(Layers& layers, Excited& excited) : layers_(layers), excited_(excited) {}

  Scale wanted(const nn::Nodes& nodes, Scale after) {
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
      after = std::visit([&](const auto& block) { return wanted(block, after); }, node->block);
    return after;
  }

 private:
  // Null if the layer does not compute in integers.
  Int8Layer* find(const at::Tensor& weight) {
    const auto found = layers_.find(weight.const_data_ptr());
    return found == layers_.end() || !found->second.has_kernel ? nullptr : &found->second;
  }
  Scale wanted(const at::Tensor& weight, Scale after) {
    Int8Layer* layer = find(weight);
    if (!layer) return {};
    layer->output = after;
    return layer->layer.input;
  }

  Scale wanted(const nn::Conv2dNormActivation& block, Scale after) { return wanted(block.conv.weight, after); }
  Scale wanted(const nn::PreactivatedConvolution& block, Scale after) {
    wanted(block.convolution, block.pool ? Scale() : after);
    return {};
  }
  Scale wanted(const nn::DenseBlock& block, Scale) {
    for (const nn::DenseLayer& layer : block.layers) wanted(layer.hidden, wanted(layer.growth, {}));
    return {};
  }
  Scale wanted(const nn::Linear& linear, Scale after) { return wanted(linear.weight, after); }
  Scale wanted(const nn::LinearActivation& block, Scale after) { return wanted(block.linear.weight, after); }
  Scale wanted(const nn::MaxPool2d&, Scale after) { return after; }
  Scale wanted(const nn::Dropout&, Scale after) { return after; }
  Scale wanted(const nn::AuxiliaryHead&, Scale after) { return after; }
  Scale wanted(const nn::Sequential& block, Scale after) { return wanted(block.children, after); }

  Scale wanted(const nn::Residual& block, Scale after) {
    std::vector<const nn::Conv2dNormActivation*> parts;
    for (const nn::Conv2dNormActivation& part : block.body) parts.push_back(&part);
    return wanted(parts, block.excitation, true, block.downsample ? &*block.downsample : nullptr, after);
  }
  Scale wanted(const nn::InvertedResidual& block, Scale after) {
    std::vector<const nn::Conv2dNormActivation*> parts;
    if (block.expand) parts.push_back(&*block.expand);
    parts.insert(parts.end(), {&block.depthwise, &block.project});
    return wanted(parts, block.excitation, block.residual, nullptr, after);
  }
  Scale wanted(const std::vector<const nn::Conv2dNormActivation*>& parts,
               const std::optional<nn::SqueezeExcitation>& excitation, bool adds,
               const nn::Conv2dNormActivation* downsample, Scale after) {
    // A sum that the last convolution does not compute is one of floats.
    const bool adds_last = adds && !parts.back()->activation;
    Scale wanted_by_next = adds && !adds_last ? Scale() : after, first;
    for (size_t i = parts.size(); i-- > 0;) {
      first = wanted(*parts[i], wanted_by_next);
      const bool is_excited = excitation && i + 1 == parts.size();
      if (is_excited && first) excited_[excitation->fc1.weight.const_data_ptr()] = *first;
      wanted_by_next = is_excited ? Scale() : first;
    }
    if (!adds) return first;
    if (downsample) return wanted(*downsample, {}) == first ? first : Scale();
    Int8Layer* last = find(parts.back()->conv.weight);
    if (!first || !last || !adds_last || !ops::Int8Convolution::supports(parts.back()->conv)) return {};
    last->residual = first;
    return first;
  }

  Scale wanted(const nn::ResidualBranch& block, Scale) {
    wanted(block.body, {});
    wanted(block.shortcut, {});
    return {};
  }

  // The branches' results must be of one type, which is that of their last convolutions.
  Scale wanted(const nn::Concat& block, Scale after) {
    const bool ends_in_layers = std::all_of(block.branches.begin(), block.branches.end(),
                                            [&](const nn::Node& branch) { return ends_in_layer(branch); });
    std::vector<Scale> inputs;
    for (const nn::Node& branch : block.branches)
      inputs.push_back(wanted(nn::Nodes{branch}, ends_in_layers ? after : Scale()));
    const bool agree =
        std::all_of(inputs.begin(), inputs.end(), [&](const Scale& input) { return input == inputs[0]; });
    return ends_in_layers && agree ? inputs[0] : Scale();
  }
  bool ends_in_layer(const nn::Node& node) {
    if (auto* sequential = std::get_if<nn::Sequential>(&node.block))
      return !sequential->children.empty() && ends_in_layer(sequential->children.back());
    auto* block = std::get_if<nn::Conv2dNormActivation>(&node.block);
    return block && find(block->conv.weight);
  }

  template <class Block>
  Scale wanted(const Block&, Scale) {
    return {};
  }

  Layers& layers_;
  Excited& excited_;
};

}  // namespace

Int8Layers::Int8Layers(const nn::Network& network, const nn::Quantization& quantization) {
  for (nn::Nodes nodes : {network.backbone, network.classifier})
    nn::for_each_layer(nodes, "", [&](const std::string& path, nn::Layer layer) {
      const auto found = quantization.layers.find(path);
      if (found == quantization.layers.end()) return;
      if (auto* conv = std::get_if<nn::Conv2d*>(&layer))
        layers_[(*conv)->weight.const_data_ptr()] = {found->second, has_kernel(**conv)};
      if (auto* linear = std::get_if<nn::Linear*>(&layer))
        layers_[(*linear)->weight.const_data_ptr()] = {found->second, ops::Int8Linear::supports(**linear)};
    });
  Flow flow(layers_, excited_);
  input_ = flow.wanted(network.backbone, {});
  flow.wanted(network.classifier, {});
  rounding_ = [this](const at::Tensor& weight, const at::Tensor& input) {
    const Int8Layer* layer = find(weight);
    return layer ? ops::rounded(input, layer->layer.input) : input;
  };
}

std::optional<nn::ByteScale> Int8Layers::output_of(const nn::SqueezeExcitation& block) const {
  const auto found = excited_.find(block.fc1.weight.const_data_ptr());
  return found == excited_.end() ? std::nullopt : std::optional(found->second);
}

const Int8Layer* Int8Layers::find(const at::Tensor& weight) const {
  const auto found = layers_.find(weight.const_data_ptr());
  return found == layers_.end() ? nullptr : &found->second;
}

}  // namespace visiontorch::infer
