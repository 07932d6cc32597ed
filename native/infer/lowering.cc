#include "infer/lowering.h"

#include <ATen/ATen.h>

#include <utility>

#include "eager/activate.h"
#include "eager/attention.h"
#include "eager/forward.h"
#include "runtime/autocast.h"

namespace visiontorch::infer {

namespace {

bool is_identity(const nn::Block& block, const nn::Shape& input) {
  if (std::holds_alternative<nn::Dropout>(block) || std::holds_alternative<nn::AuxiliaryHead>(block)) return true;
  auto* pool = std::get_if<nn::AdaptiveAvgPool2d>(&block);
  return pool && pool->output_shape(input) == input;
}

bool writes_into_input(const nn::Node& node) {
  if (auto* sequential = std::get_if<nn::Sequential>(&node.block))
    return !sequential->children.empty() && writes_into_input(sequential->children[0]);
  return std::holds_alternative<nn::Residual>(node.block) || std::holds_alternative<nn::InvertedResidual>(node.block) ||
         std::holds_alternative<nn::ResidualBranch>(node.block) ||
         std::holds_alternative<nn::SqueezeExcitation>(node.block);
}

// Returns those nodes of a branch that compute something in inference.
void flatten(const nn::Nodes& nodes, std::vector<const nn::Node*>& result) {
  for (const nn::Node& node : nodes) {
    if (auto* sequential = std::get_if<nn::Sequential>(&node.block)) {
      flatten(sequential->children, result);
    } else if (!std::holds_alternative<nn::Dropout>(node.block)) {
      result.push_back(&node);
    }
  }
}

// Returns the order of all axes, with the batch first.
std::vector<int64_t> with_batch(const nn::Permute& block) {
  std::vector<int64_t> axes = {0};
  for (int64_t axis : block.axes) axes.push_back(axis + 1);
  return axes;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& axes) {
  std::vector<int64_t> result(axes.size());
  for (size_t i = 0; i < axes.size(); i++) result[static_cast<size_t>(axes[i])] = static_cast<int64_t>(i);
  return result;
}

// Adds only the class token of the shortcut if the attention computes no other.
Convolution class_token_only(const nn::MultiheadAttention& block, Convolution projection) {
  if (!projection || !block.only_class_token) return projection;
  return [projection = std::move(projection)](const at::Tensor& x, const at::Tensor& shortcut) {
    return projection(x, shortcut.defined() ? shortcut.narrow(1, 0, 1).contiguous() : shortcut);
  };
}

}  // namespace

at::Tensor run(const Ops& ops, at::Tensor x) {
  for (const Op& op : ops) x = op(std::move(x));
  return x;
}

nn::Shape Lowering::lower(const nn::Nodes& nodes, nn::Shape shape, Ops& ops) const {
  for (const nn::Node& node : nodes) {
    if (auto* sequential = std::get_if<nn::Sequential>(&node.block)) {
      shape = lower(sequential->children, shape, ops);
      continue;
    }
    if (!is_identity(node.block, shape)) {
      Op op = std::visit([&](const auto& block) { return lower(block, shape); }, node.block);
      ops.push_back(op ? std::move(op) : eager(node));
    }
    shape = nn::output_shape({node}, shape);
  }
  return shape;
}

Op Lowering::lower(const nn::Conv2dNormActivation& block, const nn::Shape& input) const {
  Convolution conv = convolution(block, input, block.activation);
  if (!conv) return {};
  return [conv = std::move(conv)](const at::Tensor& x) { return conv(x, {}); };
}

Op Lowering::lower(const nn::PreactivatedConvolution& block, const nn::Shape& input) const {
  if (Op op = preactivated_convolution(block)) return op;
  nn::Nodes nodes = {{"", block.before}, {"", block.convolution}};
  if (block.pool) nodes.push_back({"", *block.pool});
  Ops ops;
  lower(nodes, input, ops);
  return [ops](at::Tensor x) { return run(ops, std::move(x)); };
}

Op Lowering::lower(const nn::DenseBlock& block, const nn::Shape& input) const {
  if (Op op = dense_block(block, input)) return op;
  std::vector<Ops> layers;
  nn::Shape shape = input;
  for (const nn::DenseLayer& layer : block.layers) {
    lower({{"", layer.hidden}, {"", layer.growth}}, shape, layers.emplace_back());
    shape[0] += layer.growth.conv.out_channels;
  }
  return [layers](at::Tensor x) {
    for (const Ops& ops : layers) x = at::cat({x, run(ops, x)}, 1);
    return x;
  };
}

Op Lowering::lower(const nn::Residual& block, const nn::Shape& input) const {
  Branch branch;
  for (const nn::Conv2dNormActivation& part : block.body) branch.parts.push_back(&part);
  if (block.excitation) branch.excitation = &*block.excitation;
  return residual(branch, block.downsample ? &*block.downsample : nullptr, block.activation, input);
}

Op Lowering::lower(const nn::InvertedResidual& block, const nn::Shape& input) const {
  if (Op op = inverted_residual(block)) return op;
  Branch branch;
  if (block.expand) branch.parts.push_back(&*block.expand);
  branch.parts.insert(branch.parts.end(), {&block.depthwise, &block.project});
  if (block.excitation) branch.excitation = &*block.excitation;
  if (block.residual) return residual(branch, nullptr, {}, input);
  nn::Nodes nodes;
  for (const nn::Conv2dNormActivation* part : branch.parts) nodes.push_back({"", *part});
  if (branch.excitation) nodes.insert(nodes.end() - 1, {"", *branch.excitation});
  Ops ops;
  lower(nodes, input, ops);
  return [ops](at::Tensor x) { return run(ops, std::move(x)); };
}

// The last convolution adds the shortcut and applies the activation. It writes the sum into the shortcut's result, or
// into the block's input, which is no longer needed.
Op Lowering::residual(const Branch& branch, const nn::Conv2dNormActivation* downsample, Activation activation,
                      const nn::Shape& input) const {
  // Kernels add the residual before they apply the activation.
  const bool adds_separately = branch.parts.back()->activation.has_value();
  std::vector<Convolution> body;
  nn::Shape shape = input;
  for (const nn::Conv2dNormActivation* part : branch.parts) {
    const bool adds = part == branch.parts.back() && !adds_separately;
    const Activation own = adds ? activation : part->activation;
    body.push_back(branch.excitation && part == branch.parts.back()
                       ? excited_convolution(*branch.excitation, *part, shape, own)
                       : convolution(*part, shape, own));
    if (!body.back()) return {};
    shape = part->output_shape(shape);
  }
  Convolution shortcut;
  if (downsample) {
    shortcut = convolution(*downsample, input, downsample->activation);
    if (!shortcut) return {};
  }
  return [body, shortcut, adds_separately, activation](const at::Tensor& x) {
    at::Tensor y = x;
    for (size_t i = 0; i + 1 < body.size(); i++) y = body[i](y, {});
    const at::Tensor other = shortcut ? shortcut(x, {}) : x;
    if (!adds_separately) return body.back()(y, other);
    return eager::activate_(body.back()(y, {}).add_(other), activation);
  };
}

// All branches read the same input, so none may start with a block that overwrites it.
Op Lowering::lower(const nn::Concat& block, const nn::Shape& input) const {
  std::vector<Ops> branches;
  for (const nn::Node& branch : block.branches) {
    if (writes_into_input(branch)) return {};
    lower({branch}, input, branches.emplace_back());
  }
  return [branches](const at::Tensor& x) {
    std::vector<at::Tensor> outputs;
    for (const Ops& ops : branches) outputs.push_back(run(ops, x));
    return at::cat(outputs, 1);
  };
}

Op Lowering::scales(const nn::SqueezeExcitation& block) const {
  auto layer = [&](const nn::Conv2d& conv, nn::Activation activation) {
    nn::Linear linear{conv.in_channels, conv.out_channels};
    linear.weight = conv.weight.detach().flatten(1);
    linear.bias = conv.bias;
    Op op = this->linear(linear, activation);
    return op ? op : eager({"", nn::LinearActivation{linear, activation}});
  };
  const Op fc1 = layer(block.fc1, block.activation), fc2 = layer(block.fc2, block.scale_activation);
  return [fc1, fc2](at::Tensor means) { return fc2(fc1(std::move(means))); };
}

Op Lowering::excitation(const nn::SqueezeExcitation& block) const {
  return [scales = scales(block)](at::Tensor x) {
    const at::Tensor scale = scales(x.mean(at::IntArrayRef({2, 3})));
    return x.mul_(scale.to(x.scalar_type()).unsqueeze(2).unsqueeze(3));
  };
}

Convolution Lowering::excited_convolution(const nn::SqueezeExcitation& block, const nn::Conv2dNormActivation& last,
                                          const nn::Shape& input, std::optional<nn::Activation> activation) const {
  Convolution conv = convolution(last, input, activation);
  if (!conv) return {};
  return [excite = excitation(block), conv = std::move(conv)](const at::Tensor& x, at::Tensor residual) {
    return conv(excite(x), std::move(residual));
  };
}

Op Lowering::lower(const nn::Linear& layer, Activation activation, const nn::Shape& input) const {
  if (input.size() == 1) return linear(layer, activation);
  Convolution op = token_linear(layer, activation, {});
  if (!op) return {};
  return [op = std::move(op)](const at::Tensor& x) { return op(x, {}); };
}

Op Lowering::lower(const nn::LayerNorm& norm, const nn::Shape&) const {
  Op op = layer_norm(norm);
  if (!op || !norm.of_channels) return op;
  return [op](const at::Tensor& x) { return op(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2}); };
}

Op Lowering::lower(const nn::Permute& block, const nn::Shape&) const {
  return [axes = with_batch(block)](const at::Tensor& x) { return x.permute(axes); };
}

Op Lowering::lower(const nn::PatchEmbedding& block, const nn::Shape& input) const {
  const Convolution conv = convolution({block.conv, {}, {}}, input, {});
  if (!conv) return {};
  const at::Tensor positions = block.positions.detach().to(dtype_);
  const at::Tensor first = (block.class_token + block.positions.slice(1, 0, 1)).detach().to(dtype_);
  return [conv, positions, first](const at::Tensor& images) {
    const at::Tensor patches = conv(images, {}).permute({0, 2, 3, 1}).flatten(1, 2);
    at::Tensor tokens = at::empty({patches.size(0), positions.size(1), positions.size(2)}, patches.options());
    tokens.slice(1, 0, 1).copy_(first);
    at::Tensor rest = tokens.slice(1, 1);
    at::add_out(rest, patches, positions.slice(1, 1));
    return tokens;
  };
}

Op Lowering::lower(const nn::ClassToken&, const nn::Shape&) const {
  return [](const at::Tensor& x) { return x.select(1, 0); };
}

Op Lowering::lower(const nn::PatchMerging& block, const nn::Shape&) const {
  const Op norm = layer_norm(block.norm);
  const Convolution reduction = token_linear(block.reduction, {}, {});
  if (!norm || !reduction) return {};
  return [norm, reduction, norm_first = block.norm_first](const at::Tensor& x) {
    const at::Tensor joined = eager::join_patches(x);
    return norm_first ? reduction(norm(joined), {}) : norm(reduction(joined, {}));
  };
}

Op Lowering::lower(const nn::MultiheadAttention& block, const nn::Shape& input) const {
  Ops ops;
  const Convolution projection = last({"", block}, input, {}, ops);
  if (!projection) return {};
  return [ops, projection](const at::Tensor& x) { return projection(run(ops, x), {}); };
}

Op Lowering::lower(const nn::WindowAttention& block, const nn::Shape& input) const {
  Ops ops;
  const Convolution projection = last({"", block}, input, {}, ops);
  if (!projection) return {};
  return [ops, projection](const at::Tensor& x) { return projection(run(ops, x), {}); };
}

template <class Block>
Convolution Lowering::attend(const Block& block, const nn::Linear& qkv, const nn::Linear& projection,
                             const nn::Shape& input, const at::Tensor& scale, Ops& ops) const {
  const Convolution first = token_linear(qkv, {}, {});
  const Op op = attention(block, input);
  if (!first || !op) return {};
  ops.push_back([first, op](const at::Tensor& x) { return op(first(x, {})); });
  return token_linear(projection, {}, scale);
}

Convolution Lowering::last(const nn::Node& node, const nn::Shape& input, const at::Tensor& scale, Ops& ops) const {
  if (auto* linear = std::get_if<nn::Linear>(&node.block)) return token_linear(*linear, {}, scale);
  if (auto* block = std::get_if<nn::MultiheadAttention>(&node.block))
    return class_token_only(*block, attend(*block, block->in_proj, block->out_proj, input, scale, ops));
  if (auto* block = std::get_if<nn::WindowAttention>(&node.block)) {
    nn::Linear qkv = block->qkv;
    qkv.bias = eager::qkv_bias(*block);
    return attend(*block, qkv, block->proj, input, scale, ops);
  }
  if (scale.defined()) return {};
  if (auto* block = std::get_if<nn::Conv2dNormActivation>(&node.block))
    return block->activation ? Convolution() : convolution(*block, input, {});
  if (auto* norm = std::get_if<nn::LayerNorm>(&node.block)) {
    Op op = lower(*norm, input);
    if (!op) return {};
    return [op](const at::Tensor& x, const at::Tensor& shortcut) { return op(x).add_(shortcut); };
  }
  return {};
}

Convolution Lowering::mlp(const std::vector<const nn::Node*>& branch, const at::Tensor& scale, nn::Shape input) const {
  if (branch.size() < 3) return {};
  const size_t before = branch.size() - 3;
  auto* norm = std::get_if<nn::LayerNorm>(&branch[before]->block);
  auto* hidden = std::get_if<nn::LinearActivation>(&branch[before + 1]->block);
  auto* out = std::get_if<nn::Linear>(&branch[before + 2]->block);
  if (!norm || !hidden || !out || norm->of_channels) return {};
  for (size_t i = 0; i < before; i++) input = nn::output_shape({*branch[i]}, input);
  return mlp(*norm, *hidden, *out, scale, input);
}

Op Lowering::lower(const nn::ResidualBranch& block, const nn::Shape& input) const {
  std::vector<const nn::Node*> nodes;
  flatten(block.body, nodes);
  // The shortcut is added before the axes change, and in that order.
  std::vector<int64_t> axes;
  if (auto* permute = std::get_if<nn::Permute>(&nodes.back()->block)) {
    axes = with_batch(*permute);
    nodes.pop_back();
  }
  Ops body, shortcut;
  nn::Shape shape = input;
  const at::Tensor scale = block.layer_scale.defined() ? block.layer_scale.detach().flatten() : at::Tensor();
  Convolution last = mlp(nodes, scale, input);
  const size_t before = nodes.size() - (last ? 3 : 1);
  for (size_t i = 0; i < before; i++) shape = lower({*nodes[i]}, shape, body);
  if (!last) last = this->last(*nodes.back(), shape, scale, body);
  if (!last) return {};
  lower(block.shortcut, input, shortcut);
  if (axes.empty()) return [body, shortcut, last](const at::Tensor& x) { return last(run(body, x), run(shortcut, x)); };
  return [body, shortcut, last, axes, back = inverse(axes)](const at::Tensor& x) {
    return last(run(body, x), run(shortcut, x).permute(back)).permute(axes);
  };
}

Op Lowering::eager(const nn::Node& node) const {
  return [nodes = nn::Nodes{node}, dtype = dtype_, device = device_.type(), mode = mode()](at::Tensor x) {
    const AutocastGuard autocast(device, dtype);
    return eager::forward(nodes, std::move(x), mode).to(dtype);
  };
}

ops::Affine fold(const nn::Conv2dNormActivation& block) {
  const nn::Conv2d& conv = block.conv;
  ops::Affine layer{conv.weight.detach(), conv.has_bias ? conv.bias.detach() : at::Tensor(), {}};
  if (!block.norm) return layer;
  const nn::BatchNorm2d& norm = *block.norm;
  layer.factors = norm.weight.detach().to(at::kDouble) / (norm.running_var.to(at::kDouble) + norm.eps).sqrt();
  at::Tensor mean = norm.running_mean.to(at::kDouble);
  if (layer.bias.defined()) mean = mean - layer.bias.to(at::kDouble);
  layer.bias = (norm.bias.detach().to(at::kDouble) - mean * layer.factors).to(at::kFloat);
  return layer;
}

}  // namespace visiontorch::infer
