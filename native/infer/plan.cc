#include "infer/plan.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "infer/cuda.h"
#include "infer/onednn.h"
#include "ops/convolution.h"
#include "ops/inverted_residual.h"
#include "ops/linear.h"
#include "ops/pooling.h"
#include "runtime/allocator.h"

namespace visiontorch::infer {

using nn::Fused;
using Sizes = std::array<int64_t, 4>;  // n, channels, height, width

namespace {

bool has_depthwise(const nn::Nodes& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const nn::Node& node) {
    if (auto* conv = std::get_if<nn::Conv2d>(&node.op)) return conv->groups > 1 && conv->groups == conv->in_channels;
    if (auto* sequential = std::get_if<nn::Sequential>(&node.op)) return has_depthwise(sequential->children);
    if (auto* residual = std::get_if<nn::Residual>(&node.op)) return has_depthwise(residual->body);
    return false;
  });
}

// Channels-last, but for depthwise convolutions on a GPU: there cuDNN compiles a kernel for each of them and for each
// size of a batch, which takes seconds. LibTorch's own for the other layout is there at once, and about as fast.
at::MemoryFormat memory_format(const nn::Network& network, at::Device device) {
  const bool compiled = !device.is_cpu() && has_depthwise(network.backbone);
  return compiled ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
}

}  // namespace

class PlanBuilder {
 public:
  PlanBuilder(at::ScalarType dtype, at::Device device, at::MemoryFormat format)
      : dtype_(dtype), device_(device), format_(format) {}

  // Appends the operations of these nodes and advances `sizes` through them.
  void build(const nn::Nodes& nodes, Sizes& sizes, Plan::Ops& ops) {
    for (size_t i = 0; i < nodes.size(); i++) {
      if (std::holds_alternative<nn::Conv2d>(nodes[i].op)) {
        ops.push_back([conv = build_convolution(nodes, i, sizes)](const at::Tensor& x) { return conv(x, {}); });
      } else if (auto* linear = std::get_if<nn::Linear>(&nodes[i].op)) {
        ops.push_back(build_linear(*linear, sizes[0], take_activation(nodes, i)));
      } else if (auto* sequential = std::get_if<nn::Sequential>(&nodes[i].op)) {
        if (std::optional<Plan::Op> block = build_inverted_residual(sequential->children, false, sizes)) {
          ops.push_back(*block);
        } else {
          build(sequential->children, sizes, ops);
        }
      } else if (auto* residual = std::get_if<nn::Residual>(&nodes[i].op)) {
        std::optional<Plan::Op> block;
        if (!residual->relu && residual->shortcut.empty()) block = build_inverted_residual(residual->body, true, sizes);
        ops.push_back(block ? *block : build_residual(*residual, sizes));
      } else {
        build_plain(nodes[i], sizes, ops);
      }
    }
  }

 private:
  // (x, residual or undefined) -> activation(conv(x) + residual). The result may be written into the residual.
  using Convolve = std::function<at::Tensor(const at::Tensor&, at::Tensor)>;

  // The convolution at nodes[i] with the batch norm and the activation that follow it, if they do; leaves `i` at the
  // last node used.
  Convolve build_convolution(const nn::Nodes& nodes, size_t& i, Sizes& sizes, Fused activation = {}) {
    const auto& conv = std::get<nn::Conv2d>(nodes[i].op);
    const ops::Affine layer = fold(nodes, i);
    if (!activation) activation = take_activation(nodes, i);
    const Sizes images = sizes;
    advance(conv, sizes);
    if (!device_.is_cpu())
      return [weight = cuda::prepare(layer, dtype_, format_), bias = cast_bias(layer), conv, activation](
                 const at::Tensor& x, const at::Tensor& residual) {
        return cuda::convolution(x, weight, bias, conv, activation, residual);
      };
    if (ops::Convolution::supports(conv, dtype_))
      return [op = ops::Convolution(conv, layer, images, dtype_), activation](
                 const at::Tensor& x, at::Tensor residual) { return op(x, activation, std::move(residual)); };
    at::Tensor packed = onednn::pack_convolution(layer.scaled().to(dtype_), conv, images);
    return [packed, bias = cast_bias(layer), conv, activation](const at::Tensor& input, const at::Tensor& residual) {
      const at::Tensor x = input.to(packed.scalar_type());
      if (!residual.defined()) return onednn::convolution(x, packed, bias, conv, activation);
      return onednn::convolution_add_(residual, x, packed, bias, conv, activation.has_value());
    };
  }

  std::optional<at::Tensor> cast_bias(const ops::Affine& layer) const {
    return layer.bias.defined() ? std::optional(layer.bias.to(dtype_)) : std::nullopt;
  }

  Plan::Op build_linear(const nn::Linear& linear, int64_t batch_size, Fused activation) {
    const at::Tensor weight = linear.weight.detach(), bias = linear.bias.detach();
    if (!device_.is_cpu())
      return [weight = weight.to(dtype_), bias = bias.to(dtype_), activation](const at::Tensor& x) {
        return cuda::linear(x, weight, bias, activation);
      };
    if (ops::Linear::supports(dtype_))
      return [op = ops::Linear(weight, bias, dtype_), activation](const at::Tensor& x) { return op(x, activation); };
    return [weight = onednn::pack_linear(nn::aligned(weight).to(dtype_), batch_size), bias = bias.to(dtype_),
            activation](const at::Tensor& x) { return onednn::linear(x, weight, bias, activation); };
  }

  // The convolution with the batch norm that follows it, if it does: y = (conv(x) - mean) / sqrt(var + eps) * gamma +
  // beta, computed in double: the fold must not cost accuracy.
  static ops::Affine fold(const nn::Nodes& nodes, size_t& i) {
    const auto& conv = std::get<nn::Conv2d>(nodes[i].op);
    ops::Affine layer{conv.weight.detach(), conv.has_bias ? conv.bias.detach() : at::Tensor(), {}};
    auto* norm = i + 1 < nodes.size() ? std::get_if<nn::BatchNorm2d>(&nodes[i + 1].op) : nullptr;
    if (norm == nullptr) return layer;
    i++;
    layer.factors =
        norm->weight.detach().to(at::kDouble) / (norm->running_var.to(at::kDouble) + nn::BatchNorm2d::kEps).sqrt();
    at::Tensor mean = norm->running_mean.to(at::kDouble);
    if (layer.bias.defined()) mean = mean - layer.bias.to(at::kDouble);
    layer.bias = (norm->bias.detach().to(at::kDouble) - mean * layer.factors).to(at::kFloat);
    return layer;
  }

  static Fused take_activation(const nn::Nodes& nodes, size_t& i) {
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
    const Convolve add = build_convolution(residual.body, last, sizes,
                                           residual.relu ? std::optional(nn::Activation::ReLU) : std::nullopt);
    build(residual.shortcut, input, shortcut);
    return [body, shortcut, add](const at::Tensor& x) {
      at::Tensor y = Plan::run(body, x);
      return add(y, Plan::run(shortcut, x));
    };
  }

  // MobileNetV2's block, if these nodes are one: [1 x 1, activation,] depthwise 3 x 3, activation, 1 x 1.
  std::optional<Plan::Op> build_inverted_residual(const nn::Nodes& body, bool residual, Sizes& sizes) {
    struct Layer {
      nn::Conv2d conv;
      ops::Affine weights;
      Fused activation;
    };
    if (!device_.is_cpu()) return std::nullopt;
    nn::Nodes flat;
    for (const nn::Node& node : body) {
      auto* sequential = std::get_if<nn::Sequential>(&node.op);
      if (sequential) flat.insert(flat.end(), sequential->children.begin(), sequential->children.end());
      if (!sequential) flat.push_back(node);
    }
    std::vector<Layer> layers;
    for (size_t i = 0; i < flat.size(); i++) {
      auto* conv = std::get_if<nn::Conv2d>(&flat[i].op);
      if (!conv) return std::nullopt;
      const ops::Affine weights = fold(flat, i);
      layers.push_back({*conv, weights, take_activation(flat, i)});
    }
    if (layers.size() != 2 && layers.size() != 3) return std::nullopt;
    const Layer &project = layers.back(), &depthwise = layers[layers.size() - 2];
    const bool expands = layers.size() == 3;
    auto is_pointwise = [](const Layer& layer) { return layer.conv.kernel_size == 1 && layer.conv.groups == 1; };
    if (!ops::InvertedResidual::supports(depthwise.conv, layers[0].conv.in_channels, dtype_) ||
        !is_pointwise(project) || project.activation ||
        (expands && !(is_pointwise(layers[0]) && layers[0].activation == depthwise.activation)))
      return std::nullopt;
    for (const Layer& layer : layers) advance(layer.conv, sizes);
    const ops::InvertedResidual block({expands ? layers[0].weights : ops::Affine{}, depthwise.weights, project.weights,
                                       depthwise.conv.stride, residual, ops::kind(depthwise.activation)},
                                      dtype_);
    return [block](const at::Tensor& x) { return block(x); };
  }

  static void advance(const nn::Conv2d& conv, Sizes& sizes) {
    for (int axis : {2, 3})
      sizes[axis] = (sizes[axis] + 2 * conv.padding - conv.dilation * (conv.kernel_size - 1) - 1) / conv.stride + 1;
    sizes[1] = conv.out_channels;
  }

  void build_plain(const nn::Node& node, Sizes& sizes, Plan::Ops& ops) {
    if (std::holds_alternative<nn::Dropout>(node.op)) return;
    if (auto* pool = std::get_if<nn::AdaptiveAvgPool2d>(&node.op)) {
      if (sizes[2] == pool->output_size && sizes[3] == pool->output_size) return;  // the identity
      sizes[2] = sizes[3] = pool->output_size;
      if (pool->output_size == 1 && device_.is_cpu()) {
        ops.push_back(ops::average_pool);
        return;
      }
    } else if (auto* pool_max = std::get_if<nn::MaxPool2d>(&node.op)) {
      for (int axis : {2, 3})
        sizes[axis] = (sizes[axis] + 2 * pool_max->padding - pool_max->kernel_size) / pool_max->stride + 1;
      if (device_.is_cpu()) {
        ops.push_back([pool_max = *pool_max](const at::Tensor& x) { return ops::max_pool(x, pool_max); });
        return;
      }
    }
    ops.push_back([nodes = nn::Nodes{node}](const at::Tensor& x) { return nn::forward(nodes, x, {}); });
  }

  at::ScalarType dtype_;
  at::Device device_;
  at::MemoryFormat format_;
};

Plan::Plan(const nn::Network& network, at::IntArrayRef images, at::ScalarType dtype, at::Device device)
    : dtype_(dtype), device_(device), format_(memory_format(network, device)), chunk_(chunk(images[2], images[3])) {
  nn::summarize(network, std::min(images[2], images[3]));  // refuses images that are too small
  Sizes sizes = {std::min(images[0], chunk_), images[1], images[2], images[3]};
  const UsualPages pages;
  PlanBuilder builder(dtype, device_, format_);
  builder.build(network.backbone, sizes, backbone_);
}

// Four images of 224 x 224, or one for each thread: their activations stay in the last-level cache from layer to layer,
// and there is still enough to do for all threads at once.
int64_t Plan::chunk(int64_t height, int64_t width) {
  constexpr int64_t kImages = 4, kPixels = 224 * 224;
  return std::max<int64_t>(1, std::max<int64_t>(kImages, at::get_num_threads()) * kPixels / (height * width));
}

at::Tensor Plan::run(const Ops& ops, at::Tensor x) {
  for (const Op& op : ops) x = op(std::move(x));
  return x;
}

at::Tensor Plan::features(const at::Tensor& images) const {
  if (!device_.is_cpu()) return run(backbone_, images.to(device_).to(dtype_).contiguous(format_));
  const at::Tensor x = images.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t count = x.size(0), chunks = (count + chunk_ - 1) / chunk_;
  std::vector<at::Tensor> results;
  for (int64_t i = 0; i < chunks; i++)
    results.push_back(run(backbone_, x.slice(0, count * i / chunks, count * (i + 1) / chunks)));
  return chunks == 1 ? results[0] : at::cat(results);
}

at::Tensor Plan::logits(const nn::Network& network, const at::Tensor& features) {
  if (classifier_.empty()) {
    Sizes sizes = {features.size(0), features.size(1), 1, 1};
    PlanBuilder(dtype_, device_, format_).build(network.classifier, sizes, classifier_);
  }
  return run(classifier_, features).to(at::kFloat);
}

}  // namespace visiontorch::infer
