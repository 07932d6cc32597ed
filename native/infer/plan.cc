#include "infer/plan.h"

#include <ATen/ATen.h>

#include <array>

#include "infer/max_pool.h"
#include "infer/onednn.h"

namespace visiontorch::infer {

using Sizes = std::array<int64_t, 4>;  // n, channels, height, width

class PlanBuilder {
 public:
  explicit PlanBuilder(at::ScalarType dtype) : dtype_(dtype) {}

  // Appends the operations of these nodes and advances `sizes` through them.
  void build(const nn::Nodes& nodes, Sizes& sizes, Plan::Ops& ops) {
    for (size_t i = 0; i < nodes.size(); i++) {
      if (auto* conv = std::get_if<nn::Conv2d>(&nodes[i].op)) {
        const Convolution folded = fold(nodes, i, sizes);
        onednn::Fused activation = take_activation(nodes, i);
        ops.push_back([folded, activation, conv = *conv](const at::Tensor& x) {
          return onednn::convolution(x, folded.weight, folded.bias, conv, activation);
        });
      } else if (auto* linear = std::get_if<nn::Linear>(&nodes[i].op)) {
        at::Tensor weight = onednn::pack_linear(linear->weight.detach().to(dtype_), sizes[0]);
        at::Tensor bias = linear->bias.detach().to(dtype_);
        onednn::Fused activation = take_activation(nodes, i);
        ops.push_back(
            [weight, bias, activation](const at::Tensor& x) { return onednn::linear(x, weight, bias, activation); });
      } else if (auto* sequential = std::get_if<nn::Sequential>(&nodes[i].op)) {
        build(sequential->children, sizes, ops);
      } else if (auto* residual = std::get_if<nn::Residual>(&nodes[i].op)) {
        ops.push_back(build_residual(*residual, sizes));
      } else {
        build_plain(nodes[i], sizes, ops);
      }
    }
  }

 private:
  struct Convolution {
    at::Tensor weight;  // packed
    std::optional<at::Tensor> bias;
  };

  // The convolution at nodes[i] with the batch norm that follows it, if one does; leaves `i` at the last node used.
  // y = (conv(x) - mean) / sqrt(var + eps) * gamma + beta, computed in double: the fold must not cost accuracy.
  Convolution fold(const nn::Nodes& nodes, size_t& i, Sizes& sizes) {
    const auto& conv = std::get<nn::Conv2d>(nodes[i].op);
    at::Tensor weight = conv.weight.detach();
    at::Tensor bias = conv.has_bias ? conv.bias.detach() : at::Tensor();
    if (i + 1 < nodes.size()) {
      if (auto* norm = std::get_if<nn::BatchNorm2d>(&nodes[i + 1].op)) {
        at::Tensor scale =
            norm->weight.detach().to(at::kDouble) / (norm->running_var.to(at::kDouble) + nn::BatchNorm2d::kEps).sqrt();
        at::Tensor mean = norm->running_mean.to(at::kDouble);
        if (bias.defined()) mean = mean - bias.to(at::kDouble);
        bias = norm->bias.detach().to(at::kDouble) - mean * scale;
        weight = (weight.to(at::kDouble) * scale.view({-1, 1, 1, 1})).to(at::kFloat);
        i++;
      }
    }
    Convolution folded;
    folded.weight = onednn::pack_convolution(weight.contiguous().to(dtype_), conv, sizes);
    if (bias.defined()) folded.bias = bias.to(at::kFloat).to(dtype_);
    for (int axis : {2, 3})
      sizes[axis] = (sizes[axis] + 2 * conv.padding - conv.dilation * (conv.kernel_size - 1) - 1) / conv.stride + 1;
    sizes[1] = conv.out_channels;
    return folded;
  }

  static onednn::Fused take_activation(const nn::Nodes& nodes, size_t& i) {
    if (i + 1 == nodes.size()) return std::nullopt;
    auto* activation = std::get_if<nn::Activation>(&nodes[i + 1].op);
    if (!activation) return std::nullopt;
    i++;
    return activation->kind;
  }

  // The last convolution of the body adds the shortcut and applies the ReLU. The sum is written into the shortcut's
  // result, or into the block's input, which nothing needs any more.
  Plan::Op build_residual(const nn::Residual& residual, Sizes& sizes) {
    Sizes input = sizes;
    size_t last = residual.body.size() - 2;  // the block ends with a convolution and its batch norm
    const nn::Nodes before(residual.body.begin(), residual.body.begin() + static_cast<int64_t>(last));
    Plan::Ops body, shortcut;
    build(before, sizes, body);
    const nn::Conv2d conv = std::get<nn::Conv2d>(residual.body[last].op);
    const Convolution folded = fold(residual.body, last, sizes);
    build(residual.shortcut, input, shortcut);
    return [body, shortcut, conv, folded, relu = residual.relu](const at::Tensor& x) {
      at::Tensor y = Plan::run(body, x);
      return onednn::convolution_add_(Plan::run(shortcut, x), y, folded.weight, folded.bias, conv, relu);
    };
  }

  static void build_plain(const nn::Node& node, Sizes& sizes, Plan::Ops& ops) {
    if (std::holds_alternative<nn::Dropout>(node.op)) return;
    if (auto* pool = std::get_if<nn::AdaptiveAvgPool2d>(&node.op)) {
      if (sizes[2] == pool->output_size && sizes[3] == pool->output_size) return;  // the identity
      sizes[2] = sizes[3] = pool->output_size;
    } else if (auto* pool_max = std::get_if<nn::MaxPool2d>(&node.op)) {
      for (int axis : {2, 3})
        sizes[axis] = (sizes[axis] + 2 * pool_max->padding - pool_max->kernel_size) / pool_max->stride + 1;
      ops.push_back([pool_max = *pool_max](const at::Tensor& x) { return max_pool(x, pool_max); });
      return;
    }
    ops.push_back([nodes = nn::Nodes{node}](const at::Tensor& x) { return nn::forward(nodes, x, {}); });
  }

  at::ScalarType dtype_;
};

Plan::Plan(const nn::Network& network, at::IntArrayRef images, at::ScalarType dtype) : dtype_(dtype) {
  nn::summarize(network, std::min(images[2], images[3]));  // refuses images that are too small
  Sizes sizes = {images[0], images[1], images[2], images[3]};
  PlanBuilder builder(dtype);
  builder.build(network.backbone, sizes, backbone_);
}

at::Tensor Plan::run(const Ops& ops, at::Tensor x) {
  for (const Op& op : ops) x = op(std::move(x));
  return x;
}

at::Tensor Plan::features(const at::Tensor& images) const {
  return run(backbone_, images.to(dtype_).contiguous(at::MemoryFormat::ChannelsLast));
}

at::Tensor Plan::logits(const nn::Network& network, const at::Tensor& features) {
  if (classifier_.empty()) {
    Sizes sizes = {features.size(0), features.size(1), 1, 1};
    PlanBuilder(dtype_).build(network.classifier, sizes, classifier_);
  }
  return run(classifier_, features).to(at::kFloat);
}

}  // namespace visiontorch::infer
