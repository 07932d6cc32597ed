#include <ATen/ATen.h>

#include <tuple>

#include "nn/network.h"
#include "ops/batch_norm.h"
#include "ops/trained_convolution.h"
#include "ops/trained_depthwise.h"

namespace visiontorch::nn {

namespace {

at::Tensor activate(const Activation& op, at::Tensor x) {
  // In place: the backward pass needs the output only, and what comes before does not need its own.
  return op.kind == Activation::ReLU ? at::relu_(x) : at::hardtanh_(x, 0, 6);
}

at::Tensor batch_norm(const BatchNorm2d& op, const at::Tensor& x, Mode mode) {
  if (mode.batch_stats) {
    ops::check_batch_norm(x);
    op.num_batches_tracked.add_(1);
  }
  return at::batch_norm(x, op.weight, op.bias, op.running_mean, op.running_var, mode.batch_stats,
                        BatchNorm2d::kMomentum, BatchNorm2d::kEps, at::globalContext().userEnabledCuDNN());
}

at::Tensor residual(const Residual& op, at::Tensor x, Mode mode) {
  std::span<const Node> body(op.body);
  const auto& norm = std::get<BatchNorm2d>(body.back().op);
  body = body.first(body.size() - 1);
  at::Tensor y = x;
  const auto* conv = std::get_if<Conv2d>(&body.front().op);
  if (conv && ops::trains_convolution(*conv, x)) {
    std::tie(y, x) = ops::forked_convolution(*conv, x);
    body = body.subspan(1);
  }
  y = forward(body, y, mode);
  const at::Tensor shortcut = op.shortcut.empty() ? x : forward(op.shortcut, x, mode);
  const Activation relu{Activation::ReLU};
  if (mode.batch_stats && ops::fuses_batch_norm(y))
    return ops::batch_norm_activation(norm, y, shortcut, op.relu ? std::optional(relu.kind) : std::nullopt);
  at::Tensor sum = batch_norm(norm, y, mode).add_(shortcut);
  return op.relu ? activate(relu, sum) : sum;
}

}  // namespace

at::Tensor forward(std::span<const Node> nodes, at::Tensor x, Mode mode) {
  for (size_t i = 0; i < nodes.size(); i++) {
    x = std::visit(
        Overload{
            [&](const Conv2d& op) {
              if (ops::trains_convolution(op, x)) return ops::trained_convolution(op, x);
              if (ops::trains_depthwise(op, x)) return ops::trained_depthwise(op, x);
              return at::conv2d(x, op.weight, op.bias, op.stride, op.padding, op.dilation, op.groups);
            },
            [&](const BatchNorm2d& op) {
              if (!mode.batch_stats || !ops::fuses_batch_norm(x)) return batch_norm(op, x, mode);
              auto* next = i + 1 < nodes.size() ? std::get_if<Activation>(&nodes[i + 1].op) : nullptr;
              if (next != nullptr) i++;
              return ops::batch_norm_activation(op, x, {}, next != nullptr ? std::optional(next->kind) : std::nullopt);
            },
            [&](const Linear& op) { return at::linear(x, op.weight, op.bias); },
            [&](const Activation& op) { return activate(op, x); },
            [&](const MaxPool2d& op) { return at::max_pool2d(x, op.kernel_size, op.stride, op.padding); },
            [&](const AdaptiveAvgPool2d& op) { return at::adaptive_avg_pool2d(x, {op.output_size, op.output_size}); },
            [&](const Flatten&) { return at::flatten(x, 1); },
            [&](const Dropout& op) { return at::dropout(x, op.p, mode.training); },
            [&](const Sequential& op) { return forward(op.children, x, mode); },
            [&](const Residual& op) { return residual(op, x, mode); },
        },
        nodes[i].op);
  }
  return x;
}

}  // namespace visiontorch::nn
