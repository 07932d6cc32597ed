#include "infer/lowering.h"

#include <ATen/ATen.h>

#include <utility>

#include "eager/activate.h"
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
         std::holds_alternative<nn::SqueezeExcitation>(node.block);
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

// The last convolution adds the shortcut and applies the activation. The sum is written into the shortcut's result, or
// into the block's input, which nothing needs any more.
Op Lowering::residual(const Branch& branch, const nn::Conv2dNormActivation* downsample, Activation activation,
                      const nn::Shape& input) const {
  // Kernels add before they activate.
  const bool adds_separately = branch.parts.back()->activation.has_value();
  std::vector<Convolution> body;
  nn::Shape shape = input;
  for (const nn::Conv2dNormActivation* part : branch.parts) {
    const bool adds = part == branch.parts.back() && !adds_separately;
    body.push_back(convolution(*part, shape, adds ? activation : part->activation));
    if (!body.back()) return {};
    shape = part->output_shape(shape);
  }
  Convolution shortcut;
  if (downsample) {
    shortcut = convolution(*downsample, input, downsample->activation);
    if (!shortcut) return {};
  }
  const Op excite = branch.excitation ? excitation(*branch.excitation) : Op();
  return [body, shortcut, excite, adds_separately, activation](const at::Tensor& x) {
    at::Tensor y = x;
    for (size_t i = 0; i + 1 < body.size(); i++) y = body[i](y, {});
    if (excite) y = excite(y);
    const at::Tensor other = shortcut ? shortcut(x, {}) : x;
    if (!adds_separately) return body.back()(y, other);
    return eager::activate_(body.back()(y, {}).add_(other), activation);
  };
}

// All branches read the same input, so none may begin with a block that writes into it.
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

// Scales its input in place.
Op Lowering::excitation(const nn::SqueezeExcitation& block) const {
  return [scales = scales(block)](at::Tensor x) {
    const at::Tensor scale = scales(x.mean(at::IntArrayRef({2, 3})));
    return x.mul_(scale.to(x.scalar_type()).unsqueeze(2).unsqueeze(3));
  };
}

Op Lowering::eager(const nn::Node& node) const {
  return [nodes = nn::Nodes{node}, dtype = dtype_, device = device_.type()](at::Tensor x) {
    const AutocastGuard autocast(device, dtype);
    return eager::forward(nodes, std::move(x), {}).to(dtype);
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
