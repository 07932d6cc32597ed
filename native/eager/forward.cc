#include "eager/forward.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <optional>
#include <tuple>
#include <vector>

#include "autograd/batch_norm.h"
#include "autograd/convolution.h"
#include "autograd/depthwise.h"
#include "autograd/linear_gelu.h"
#include "autograd/scaled_sum.h"
#include "eager/activate.h"
#include "eager/attention.h"
#include "eager/excitation.h"
#include "runtime/error.h"

namespace visiontorch::eager {

namespace {

at::Tensor batch_norm(const nn::BatchNorm2d& norm, const at::Tensor& x, Mode mode) {
  const bool batch_stats = mode.batch_stats && !norm.is_frozen;
  if (batch_stats && mode.ranks) return autograd::synchronized_batch_norm(norm, x, mode.ranks);
  if (batch_stats) {
    autograd::check_batch_norm(x);
    norm.num_batches_tracked.add_(1);
  }
  return at::batch_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var, batch_stats, norm.momentum,
                        norm.eps, at::globalContext().userEnabledCuDNN());
}

// Computes activation(norm(x) + residual). The residual may be undefined.
at::Tensor norm_activation(const std::optional<nn::BatchNorm2d>& norm, at::Tensor x, const at::Tensor& residual,
                           std::optional<nn::Activation> activation, Mode mode) {
  if (norm && mode.batch_stats && !norm->is_frozen && autograd::supports_batch_norm(x)) {
    if (autograd::fuses(activation, residual.defined()))
      return autograd::batch_norm_activation(*norm, x, residual, activation, mode.ranks);
    return activate_(autograd::batch_norm_activation(*norm, x, residual, {}, mode.ranks), activation);
  }
  if (norm) x = batch_norm(*norm, x, mode);
  if (residual.defined()) x = x.add_(residual);
  return activate_(std::move(x), activation);
}

at::Tensor convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  if (autograd::supports_convolution(conv, x)) return autograd::convolution(conv, x);
  if (autograd::supports_depthwise(conv, x)) return autograd::depthwise_convolution(conv, x);
  return at::conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding.both(), conv.dilation, conv.groups);
}

at::Tensor hooked(const at::Tensor& weight, const at::Tensor& x, Mode mode) {
  return mode.input_hook ? (*mode.input_hook)(weight, x) : x;
}

at::Tensor convolution(const nn::Conv2d& conv, const at::Tensor& x, Mode mode) {
  return convolution(conv, hooked(conv.weight, x, mode));
}

at::Tensor run(const nn::Conv2dNormActivation& block, const at::Tensor& x, Mode mode) {
  return norm_activation(block.norm, convolution(block.conv, x, mode), {}, block.activation, mode);
}

at::Tensor excite(const nn::SqueezeExcitation& block, const at::Tensor& x) {
  if (x.is_cpu() && at::GradMode::is_enabled() && x.is_contiguous(at::MemoryFormat::ChannelsLast))
    return squeeze_excitation(block, x);
  const at::Tensor hidden = convolution(block.fc1, at::adaptive_avg_pool2d(x, {1, 1}));
  return x * activate_(convolution(block.fc2, activate_(hidden, block.activation)), block.scale_activation);
}

// Draws the factors of torchvision.ops.stochastic_depth(mode='row'), [n, 1, ...], which sets whole images to zero, and
// scales the others so that the expected value stays the same. Undefined if it changes nothing.
at::Tensor stochastic_depth_factors(const at::Tensor& x, at::ScalarType type, double p, Mode mode) {
  if (!mode.training || p == 0) return {};
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes[0] = x.size(0);
  at::Tensor kept = at::empty(sizes, x.options().dtype(type)).bernoulli_(1 - p);
  if (p < 1) kept.div_(1 - p);
  return kept;
}

at::Tensor stochastic_depth(const at::Tensor& x, double p, Mode mode) {
  const at::Tensor kept = stochastic_depth_factors(x, x.scalar_type(), p, mode);
  return kept.defined() ? x * kept : x;
}

// Applies convolutions in turn and, before the last one, the excitation, if there is one.
struct Branch {
  std::vector<const nn::Conv2dNormActivation*> parts;
  const nn::SqueezeExcitation* excitation;
  double stochastic_depth;

  explicit Branch(const nn::Residual& block)
      : excitation(block.excitation ? &*block.excitation : nullptr), stochastic_depth(block.stochastic_depth) {
    for (const nn::Conv2dNormActivation& part : block.body) parts.push_back(&part);
  }
  explicit Branch(const nn::InvertedResidual& block)
      : excitation(block.excitation ? &*block.excitation : nullptr), stochastic_depth(block.stochastic_depth) {
    if (block.expand) parts.push_back(&*block.expand);
    parts.insert(parts.end(), {&block.depthwise, &block.project});
  }
};

at::Tensor run(const Branch& branch, at::Tensor x, Mode mode) {
  for (const nn::Conv2dNormActivation* part : branch.parts) {
    if (branch.excitation && part == branch.parts.back()) x = excite(*branch.excitation, x);
    x = run(*part, x, mode);
  }
  return x;
}

// Computes activation(branch(x) + shortcut(x)).
template <class Shortcut>
at::Tensor run_residual(const Branch& branch, at::Tensor x, const Shortcut& shortcut,
                        std::optional<nn::Activation> activation, Mode mode) {
  const auto& parts = branch.parts;
  if (parts.back()->activation || (mode.training && branch.stochastic_depth > 0)) {
    const at::Tensor y = stochastic_depth(run(branch, x, mode), branch.stochastic_depth, mode);
    return activate_(y + shortcut(x), activation);
  }
  at::Tensor y;
  if (!mode.input_hook && autograd::supports_convolution(parts[0]->conv, x)) {
    std::tie(y, x) = autograd::forked_convolution(parts[0]->conv, x);
  } else {
    y = convolution(parts[0]->conv, x, mode);
  }
  for (size_t i = 1; i < parts.size(); i++) {
    y = norm_activation(parts[i - 1]->norm, y, {}, parts[i - 1]->activation, mode);
    if (branch.excitation && i + 1 == parts.size()) y = excite(*branch.excitation, y);
    y = convolution(parts[i]->conv, y, mode);
  }
  if (mode.shortcut_hook) x = (*mode.shortcut_hook)(parts[0]->conv.weight, parts.back()->conv.weight, x);
  return norm_activation(parts.back()->norm, y, shortcut(x), activation, mode);
}

struct Forward {
  Mode mode;

  at::Tensor operator()(const nn::Conv2dNormActivation& block, const at::Tensor& x) const {
    return run(block, x, mode);
  }
  at::Tensor operator()(const nn::NormActivation& block, const at::Tensor& x) const {
    return norm_activation(block.norm, x, {}, block.activation, mode);
  }
  at::Tensor operator()(const nn::PreactivatedConvolution& block, const at::Tensor& x) const {
    const at::Tensor y = (*this)(block.convolution, (*this)(block.before, x));
    return block.pool ? (*this)(*block.pool, y) : y;
  }
  at::Tensor operator()(const nn::DenseBlock& block, at::Tensor x) const {
    for (const nn::DenseLayer& layer : block.layers) {
      at::Tensor y = (*this)(layer.growth, (*this)(layer.hidden, x));
      if (layer.drop_rate > 0) y = at::dropout(y, layer.drop_rate, mode.training);
      x = at::cat({x, y}, 1);
    }
    return x;
  }
  at::Tensor operator()(const nn::LinearActivation& block, const at::Tensor& x) const {
    if (block.activation == nn::Activation::GELU && autograd::supports_linear_gelu(block.linear, x))
      return autograd::linear_gelu(block.linear, hooked(block.linear.weight, x, mode));
    return activate_((*this)(block.linear, x), block.activation);
  }
  at::Tensor operator()(const nn::BatchNorm2d& norm, const at::Tensor& x) const {
    return norm_activation(norm, x, {}, {}, mode);
  }
  at::Tensor operator()(const nn::Linear& linear, const at::Tensor& x) const {
    const at::Tensor input = hooked(linear.weight, x, mode);
    return linear.has_bias ? at::linear(input, linear.weight, linear.bias) : at::linear(input, linear.weight);
  }
  at::Tensor operator()(const nn::LayerNorm& norm, const at::Tensor& x) const {
    auto normalize = [&](const at::Tensor& values) {
      return at::layer_norm(values, {norm.features}, norm.weight, norm.bias, norm.eps);
    };
    return norm.of_channels ? normalize(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2}) : normalize(x);
  }
  at::Tensor operator()(nn::Activation activation, const at::Tensor& x) const { return activate(x, activation); }
  at::Tensor operator()(const nn::MaxPool2d& pool, const at::Tensor& x) const {
    return at::max_pool2d(x, pool.kernel_size, pool.stride, pool.padding, /*dilation=*/1, pool.ceil_mode);
  }
  at::Tensor operator()(const nn::AvgPool2d& pool, const at::Tensor& x) const {
    return at::avg_pool2d(x, pool.kernel_size, pool.stride, pool.padding);
  }
  at::Tensor operator()(const nn::AdaptiveAvgPool2d& pool, const at::Tensor& x) const {
    return at::adaptive_avg_pool2d(x, {pool.output_size, pool.output_size});
  }
  at::Tensor operator()(const nn::Flatten&, const at::Tensor& x) const { return at::flatten(x, 1); }
  at::Tensor operator()(const nn::Permute& block, const at::Tensor& x) const {
    std::vector<int64_t> axes = {0};
    for (int64_t axis : block.axes) axes.push_back(axis + 1);
    return x.permute(axes);
  }
  at::Tensor operator()(const nn::ChannelSlice& block, const at::Tensor& x) const {
    return x.narrow(1, block.begin, block.count);
  }
  at::Tensor operator()(const nn::ChannelShuffle& block, const at::Tensor& x) const {
    return at::channel_shuffle(x, block.groups);
  }
  at::Tensor operator()(const nn::ChannelAffine& block, const at::Tensor& x) const {
    auto of_channels = [&](const std::array<double, 3>& values) {
      return at::tensor(at::ArrayRef<double>(values), x.options()).view({3, 1, 1});
    };
    return x * of_channels(block.scale) + of_channels(block.shift);
  }
  at::Tensor operator()(const nn::AuxiliaryHead& block, const at::Tensor& x) const {
    if (!mode.auxiliary) return x;
    if (nn::is_empty(nn::output_shape(block.head, x.sizes().slice(1).vec())))
      throw Error(
          "ERR_INVALID_ARGUMENT",
          "inputSize: the images are too small for the network's auxiliary heads, which reduce them to nothing. "
          "Train with larger images, or with auxLogits: false");
    mode.auxiliary->push_back({forward(block.head, x, mode), block.loss_weight});
    return x;
  }
  at::Tensor operator()(const nn::SqueezeExcitation& block, const at::Tensor& x) const { return excite(block, x); }
  at::Tensor operator()(const nn::Dropout& dropout, const at::Tensor& x) const {
    return at::dropout(x, dropout.p, mode.training);
  }
  at::Tensor operator()(const nn::Sequential& block, const at::Tensor& x) const {
    return forward(block.children, x, mode);
  }
  at::Tensor operator()(const nn::Concat& block, const at::Tensor& x) const {
    std::vector<at::Tensor> parts;
    for (const nn::Node& branch : block.branches) parts.push_back(forward({branch}, x, mode));
    return at::cat(parts, 1);
  }
  at::Tensor operator()(const nn::Residual& block, const at::Tensor& x) const {
    auto shortcut = [&](const at::Tensor& in) { return block.downsample ? run(*block.downsample, in, mode) : in; };
    return run_residual(Branch(block), x, shortcut, block.activation, mode);
  }
  at::Tensor operator()(const nn::InvertedResidual& block, const at::Tensor& x) const {
    if (!block.residual) return run(Branch(block), x, mode);
    return run_residual(Branch(block), x, [](const at::Tensor& in) { return in; }, std::nullopt, mode);
  }
  at::Tensor operator()(const nn::ResidualBranch& block, const at::Tensor& x) const {
    const at::Tensor y = forward(block.body, x, mode);
    at::Tensor shortcut = forward(block.shortcut, x, mode);
    if (y.size(1) < shortcut.size(1)) shortcut = shortcut.narrow(1, 0, y.size(1));  // an attention's class token
    // Under autocast, layer_scale * y has layer_scale's type.
    const at::ScalarType type = (block.layer_scale.defined() ? block.layer_scale : y).scalar_type();
    const at::Tensor kept = stochastic_depth_factors(y, type, block.stochastic_depth, mode);
    if (block.layer_scale.defined())
      return autograd::scaled_sum(shortcut, y, kept.defined() ? block.layer_scale * kept : block.layer_scale);
    return kept.defined() ? at::addcmul(shortcut, y, kept) : shortcut + y;
  }
  at::Tensor operator()(const nn::PatchEmbedding& block, const at::Tensor& x) const { return embed(block, x); }
  at::Tensor operator()(const nn::ClassToken&, const at::Tensor& x) const { return x.select(1, 0); }
  at::Tensor operator()(const nn::MultiheadAttention& block, const at::Tensor& x) const {
    return attend(block, x, mode.training);
  }
  at::Tensor operator()(const nn::WindowAttention& block, const at::Tensor& x) const {
    return attend(block, x, mode.training);
  }
  at::Tensor operator()(const nn::PatchMerging& block, const at::Tensor& x) const {
    const at::Tensor joined = join_patches(x);
    return block.norm_first ? (*this)(block.reduction, (*this)(block.norm, joined))
                            : (*this)(block.norm, (*this)(block.reduction, joined));
  }
};

}  // namespace

at::Tensor forward(const nn::Nodes& nodes, at::Tensor x, Mode mode) {
  for (const nn::Node& node : nodes)
    x = std::visit([&](const auto& block) { return Forward{mode}(block, x); }, node.block);
  return x;
}

}  // namespace visiontorch::eager
