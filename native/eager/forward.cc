#include "eager/forward.h"

#include <ATen/ATen.h>

#include <optional>
#include <tuple>
#include <vector>

#include "autograd/batch_norm.h"
#include "autograd/convolution.h"
#include "autograd/depthwise.h"
#include "eager/activate.h"

namespace visiontorch::eager {

namespace {

at::Tensor batch_norm(const nn::BatchNorm2d& norm, const at::Tensor& x, Mode mode) {
  if (mode.batch_stats) {
    autograd::check_batch_norm(x);
    norm.num_batches_tracked.add_(1);
  }
  return at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var, mode.batch_stats, norm.momentum,
                        norm.eps, at::globalContext().userEnabledCuDNN());
}

// activation(norm(x) + residual); the residual may be undefined.
at::Tensor norm_activation(const std::optional<nn::BatchNorm2d>& norm, at::Tensor x, const at::Tensor& residual,
                           std::optional<nn::Activation> activation, Mode mode) {
  if (norm && mode.batch_stats && autograd::supports_batch_norm(x))
    return autograd::batch_norm_activation(*norm, x, residual, activation);
  if (norm) x = batch_norm(*norm, x, mode);
  if (residual.defined()) x = x.add_(residual);
  return activate_(std::move(x), activation);
}

at::Tensor convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  if (autograd::supports_convolution(conv, x)) return autograd::convolution(conv, x);
  if (autograd::supports_depthwise(conv, x)) return autograd::depthwise_convolution(conv, x);
  return at::conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups);
}

at::Tensor run(const nn::Conv2dNormActivation& block, const at::Tensor& x, Mode mode) {
  return norm_activation(block.norm, convolution(block.conv, x), {}, block.activation, mode);
}

// activation(parts(x) + shortcut(x)).
template <class Shortcut>
at::Tensor run_residual(const std::vector<const nn::Conv2dNormActivation*>& parts, at::Tensor x,
                        const Shortcut& shortcut, std::optional<nn::Activation> activation, Mode mode) {
  at::Tensor y;
  if (autograd::supports_convolution(parts[0]->conv, x)) {
    std::tie(y, x) = autograd::forked_convolution(parts[0]->conv, x);
  } else {
    y = convolution(parts[0]->conv, x);
  }
  for (size_t i = 1; i < parts.size(); i++) {
    y = norm_activation(parts[i - 1]->norm, y, {}, parts[i - 1]->activation, mode);
    y = convolution(parts[i]->conv, y);
  }
  return norm_activation(parts.back()->norm, y, shortcut(x), activation, mode);
}

struct Forward {
  Mode mode;

  at::Tensor operator()(const nn::Conv2dNormActivation& block, const at::Tensor& x) const {
    return run(block, x, mode);
  }
  at::Tensor operator()(const nn::LinearActivation& block, const at::Tensor& x) const {
    return activate_((*this)(block.linear, x), block.activation);
  }
  at::Tensor operator()(const nn::Linear& linear, const at::Tensor& x) const {
    return at::linear(x, linear.weight, linear.bias);
  }
  at::Tensor operator()(const nn::MaxPool2d& pool, const at::Tensor& x) const {
    return at::max_pool2d(x, pool.kernel_size, pool.stride, pool.padding);
  }
  at::Tensor operator()(const nn::AdaptiveAvgPool2d& pool, const at::Tensor& x) const {
    return at::adaptive_avg_pool2d(x, {pool.output_size, pool.output_size});
  }
  at::Tensor operator()(const nn::Flatten&, const at::Tensor& x) const { return at::flatten(x, 1); }
  at::Tensor operator()(const nn::Dropout& dropout, const at::Tensor& x) const {
    return at::dropout(x, dropout.p, mode.training);
  }
  at::Tensor operator()(const nn::Sequential& block, const at::Tensor& x) const {
    return forward(block.children, x, mode);
  }
  at::Tensor operator()(const nn::Residual& block, const at::Tensor& x) const {
    std::vector<const nn::Conv2dNormActivation*> parts;
    for (const nn::Conv2dNormActivation& part : block.body) parts.push_back(&part);
    auto shortcut = [&](const at::Tensor& in) { return block.downsample ? run(*block.downsample, in, mode) : in; };
    return run_residual(parts, x, shortcut, block.activation, mode);
  }
  at::Tensor operator()(const nn::InvertedResidual& block, const at::Tensor& x) const {
    if (!block.residual)
      return run(block.project, run(block.depthwise, block.expand ? run(*block.expand, x, mode) : x, mode), mode);
    std::vector<const nn::Conv2dNormActivation*> parts = {&block.depthwise, &block.project};
    if (block.expand) parts.insert(parts.begin(), &*block.expand);
    return run_residual(parts, x, [](const at::Tensor& in) { return in; }, std::nullopt, mode);
  }
};

}  // namespace

at::Tensor forward(const nn::Nodes& nodes, at::Tensor x, Mode mode) {
  for (const nn::Node& node : nodes)
    x = std::visit([&](const auto& block) { return Forward{mode}(block, x); }, node.block);
  return x;
}

}  // namespace visiontorch::eager
