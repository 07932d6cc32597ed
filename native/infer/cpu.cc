#include "infer/cpu.h"

#include <ATen/ATen.h>

#include <utility>

#include "eager/activate.h"
#include "infer/onednn.h"
#include "ops/convolution.h"
#include "ops/dispatch.h"
#include "ops/inverted_residual.h"
#include "ops/linear.h"
#include "ops/pooling.h"

namespace visiontorch::infer {

namespace {

using Activation = std::optional<nn::Activation>;

// What a kernel computes of an activation, and what comes after it.
std::pair<Activation, Activation> split(Activation activation) {
  if (ops::find_kind(activation)) return {activation, std::nullopt};
  return {std::nullopt, activation};
}

}  // namespace

at::Tensor CpuLowering::prepare(const at::Tensor& images) const {
  return images.contiguous(at::MemoryFormat::ChannelsLast);
}

Convolution CpuLowering::convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                                     std::optional<nn::Activation> activation) const {
  const nn::Conv2d& conv = block.conv;
  const std::array<int64_t, 4> images = {count_, input[0], input[1], input[2]};
  if (ops::Convolution::supports(conv, dtype_)) {
    const auto [fused, separate] = split(activation);
    return [op = ops::Convolution(conv, fold(block), images, dtype_), fused, separate](const at::Tensor& x,
                                                                                       at::Tensor residual) {
      return eager::activate_(op(x, fused, std::move(residual)), separate);
    };
  }
  if (!onednn::available(dtype_)) return {};
  const ops::Affine layer = fold(block);
  std::optional<at::Tensor> bias;
  if (layer.bias.defined()) bias = layer.bias.to(dtype_);
  const at::Tensor packed = onednn::pack_convolution(layer.scaled().to(dtype_), conv, images);
  return [packed, bias, conv, activation](const at::Tensor& in, const at::Tensor& residual) {
    const at::Tensor x = in.to(packed.scalar_type());
    return residual.defined() ? onednn::convolution_add_(residual, x, packed, bias, conv, activation)
                              : onednn::convolution(x, packed, bias, conv, activation);
  };
}

Op CpuLowering::linear(const nn::Linear& linear, std::optional<nn::Activation> activation) const {
  const at::Tensor weight = linear.weight.detach();
  const at::Tensor bias = linear.has_bias ? linear.bias.detach() : at::zeros({linear.out_features}, at::kFloat);
  if (ops::Linear::supports(dtype_)) {
    const auto [fused, separate] = split(activation);
    return [op = ops::Linear(weight, bias, dtype_), fused, separate](const at::Tensor& x) {
      return eager::activate_(op(x, fused), separate);
    };
  }
  if (!onednn::available(dtype_)) return {};
  return [packed = onednn::pack_linear(weight.to(dtype_), count_), bias = bias.to(dtype_),
          activation](const at::Tensor& x) { return onednn::linear(x, packed, bias, activation); };
}

Op CpuLowering::inverted_residual(const nn::InvertedResidual& block) const {
  const nn::Conv2d& depthwise = block.depthwise.conv;
  if (block.excitation || !ops::find_kind(block.depthwise.activation)) return {};
  if (block.expand && block.expand->activation != block.depthwise.activation) return {};
  const int64_t in_channels = block.expand ? block.expand->conv.in_channels : depthwise.in_channels;
  if (!ops::InvertedResidual::supports(depthwise, in_channels, dtype_)) return {};
  const ops::InvertedResidual op(
      {block.expand ? fold(*block.expand) : ops::Affine{}, fold(block.depthwise), fold(block.project), depthwise.stride,
       block.residual, ops::kind(block.depthwise.activation)},
      dtype_);
  return [op](const at::Tensor& x) { return op(x); };
}

Op CpuLowering::max_pool(const nn::MaxPool2d& pool) const {
  if (!ops::supports_pooling(dtype_)) return {};
  return [pool](const at::Tensor& x) { return ops::max_pool(x, pool); };
}

Op CpuLowering::adaptive_avg_pool(const nn::AdaptiveAvgPool2d& pool) const {
  return pool.output_size == 1 && ops::supports_pooling(dtype_) ? ops::average_pool : Op();
}

}  // namespace visiontorch::infer
