#include "infer/cpu.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "eager/activate.h"
#include "eager/attention.h"
#include "infer/onednn.h"
#include "ops/attention.h"
#include "ops/convolution.h"
#include "ops/dispatch.h"
#include "ops/grouped_convolution.h"
#include "ops/inverted_residual.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/mlp.h"
#include "ops/pooling.h"
#include "ops/preactivation.h"
#include "ops/scaled_projection.h"

namespace visiontorch::infer {

namespace {

// Computes expansion, depthwise convolution, excitation and projection for a few images at a time, so that the expanded
// channels stay in the cache until they have been scaled and projected.
struct ExcitedResidual {
  ops::InvertedResidual expand_and_filter;
  Op scales;
  ops::ScaledProjection project;
  bool residual;
  at::ScalarType type;

  at::Tensor operator()(const at::Tensor& input) const {
    const at::Tensor x = input.to(type).contiguous(at::MemoryFormat::ChannelsLast);
    std::vector<at::Tensor> results;
    const int64_t count = x.size(0), at_once = std::max<int64_t>(1, kValues / (x.numel() / count));
    for (int64_t image = 0; image < count; image += at_once)
      results.push_back(run(x.slice(0, image, std::min(count, image + at_once))));
    if (residual) return x;  // which holds the results
    return results.size() == 1 ? results[0] : at::cat(results);
  }

 private:
  static constexpr int64_t kValues =
      48 * 1024;  // of the block's input, of which the expanded channels have six times as many

  at::Tensor run(const at::Tensor& x) const {
    at::Tensor means, y = expand_and_filter(x, &means);
    return project(y, scales(means), residual ? x : at::Tensor());
  }
};

// All layers of a dense block write their channels into the block's result, so that none are copied.
struct DenseOp {
  struct Layer {
    ops::PreactivatedProjection hidden;
    ops::Convolution growth;
    int64_t first, count;  // the channels that the layer computes
  };
  std::vector<Layer> layers;
  int64_t channels;
  at::ScalarType type;

  at::Tensor operator()(const at::Tensor& x) const {
    at::Tensor features = at::empty({x.size(0), channels, x.size(2), x.size(3)},
                                    x.options().dtype(type).memory_format(at::MemoryFormat::ChannelsLast));
    features.narrow(1, 0, x.size(1)).copy_(x);
    for (const Layer& layer : layers) {
      at::Tensor growth = features.narrow(1, layer.first, layer.count);
      layer.growth.write(layer.hidden(features.narrow(1, 0, layer.first)), {}, growth);
    }
    return features;
  }
};

bool projects(const nn::PreactivatedConvolution& block, at::ScalarType type) {
  return ops::PreactivatedProjection::supports(block.convolution.conv, block.convolution.activation, block.pool, type);
}

ops::PreactivatedProjection projection(const nn::PreactivatedConvolution& block, at::ScalarType type) {
  return {ops::Preactivation(block.before.norm, block.before.activation), fold(block.convolution),
          block.convolution.activation, block.pool, type};
}

// Returns the positions in the image, before padding, of the tokens of its windows: see ops::Attention.
std::vector<int64_t> positions_before_padding(const nn::WindowAttention& block, const nn::Shape& image, int64_t height,
                                              int64_t width) {
  std::vector<int64_t> positions = eager::window_positions(block, height, width);
  for (int64_t& position : positions) {
    const int64_t y = position / width, x = position % width;
    position = y < image[0] && x < image[1] ? y * image[1] + x : -1;
  }
  return positions;
}

}  // namespace

at::Tensor CpuLowering::prepare(const at::Tensor& images) const {
  return images.contiguous(at::MemoryFormat::ChannelsLast);
}

Convolution CpuLowering::convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                                     std::optional<nn::Activation> activation) const {
  const nn::Conv2d& conv = block.conv;
  const std::array<int64_t, 4> images = {count_, input[0], input[1], input[2]};
  if (ops::GroupedConvolution::supports(conv, dtype_)) {
    return
        [op = ops::GroupedConvolution(conv, fold(block)), activation](const at::Tensor& x, const at::Tensor& residual) {
          return residual.defined() ? eager::activate_(op(x, {}).add_(residual), activation) : op(x, activation);
        };
  }
  if (ops::Convolution::supports(conv, dtype_)) {
    return [op = ops::Convolution(conv, fold(block), images, dtype_), activation](
               const at::Tensor& x, at::Tensor residual) { return op(x, activation, std::move(residual)); };
  }
  if (conv.is_depthwise() && ops::InvertedResidual::supports(conv, conv.in_channels, dtype_)) {
    auto op = [&](std::optional<nn::Activation> fused) {
      return ops::InvertedResidual({{}, fold(block), {}, conv.stride, false, ops::kind(fused)}, dtype_);
    };
    return [alone = op(activation), before_sum = op({}), activation](const at::Tensor& x, const at::Tensor& residual) {
      return residual.defined() ? eager::activate_(before_sum(x).add_(residual), activation) : alone(x);
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
    return [op = ops::Linear(weight, bias, dtype_), activation](const at::Tensor& x) { return op(x, activation); };
  }
  if (!onednn::available(dtype_)) return {};
  return [packed = onednn::pack_linear(weight.to(dtype_), count_), bias = bias.to(dtype_),
          activation](const at::Tensor& x) { return onednn::linear(x, packed, bias, activation); };
}

Convolution CpuLowering::token_linear(const nn::Linear& linear, std::optional<nn::Activation> activation,
                                      const at::Tensor& scale) const {
  if (!ops::TokenLinear::supports(linear.in_features, dtype_)) return {};
  const at::Tensor bias = linear.has_bias ? linear.bias.detach() : at::Tensor();
  return [op = ops::TokenLinear(linear.weight.detach(), bias, scale, dtype_), activation](
             const at::Tensor& x, const at::Tensor& residual) { return op(x, activation, residual); };
}

Op CpuLowering::layer_norm(const nn::LayerNorm& norm) const {
  if (!ops::LayerNorm::supports(dtype_)) return {};
  return [op = ops::LayerNorm(norm)](const at::Tensor& x) { return op(x); };
}

Convolution CpuLowering::mlp(const nn::LayerNorm& norm, const nn::LinearActivation& hidden, const nn::Linear& out,
                             const at::Tensor& scale, const nn::Shape& input) const {
  int64_t rows = count_;
  for (size_t axis = 0; axis + 1 < input.size(); axis++) rows *= input[axis];
  if (!ops::Mlp::suits(hidden.linear, rows, dtype_)) return {};
  return [op = ops::Mlp(norm, hidden.linear, hidden.activation, out, scale, dtype_)](
             const at::Tensor& x, const at::Tensor& residual) { return op(x, residual); };
}

Op CpuLowering::attention(const nn::MultiheadAttention& block, const nn::Shape& input) const {
  const int64_t depth = block.features / block.heads;
  if (!ops::Attention::supports(depth, dtype_)) return {};
  ops::Attention::Settings settings{.heads = block.heads,
                                    .scales = std::vector<float>(block.heads, 1 / std::sqrt(static_cast<float>(depth))),
                                    .positions = std::vector<int64_t>(input[0]),
                                    .queries = block.only_class_token ? 1 : 0};
  std::iota(settings.positions.begin(), settings.positions.end(), 0);
  return [op = ops::Attention(std::move(settings), dtype_)](const at::Tensor& qkv) { return op(qkv); };
}

Op CpuLowering::attention(const nn::WindowAttention& block, const nn::Shape& input) const {
  if (!ops::Attention::supports(block.channels / block.heads, dtype_)) return {};
  auto padded = [&](int64_t size) { return (size + block.window - 1) / block.window * block.window; };
  const int64_t height = padded(input[0]), width = padded(input[1]);
  ops::Attention::Settings settings{.heads = block.heads,
                                    .scales = std::vector<float>(block.heads, static_cast<float>(block.scale())),
                                    .positions = positions_before_padding(block, input, height, width),
                                    .windows = height * width / block.tokens(),
                                    .bias = eager::position_bias(block).detach()};
  if (block.kind == nn::WindowAttention::Kind::SwinV2) {
    const at::Tensor scales = block.logit_scale.detach().clamp_max(std::log(100.0)).exp().contiguous();
    settings.scales.assign(scales.const_data_ptr<float>(), scales.const_data_ptr<float>() + block.heads);
    settings.cosine = true;
  }
  if (height != input[0] || width != input[1]) settings.padding = eager::qkv_bias(block).detach();
  if (eager::shift_along(block, height) + eager::shift_along(block, width) > 0)
    settings.mask = eager::shift_mask(block, height, width);
  return [op = ops::Attention(std::move(settings), dtype_)](const at::Tensor& qkv) { return op(qkv); };
}

Op CpuLowering::inverted_residual(const nn::InvertedResidual& block) const {
  const nn::Conv2d& depthwise = block.depthwise.conv;
  if (block.expand && block.expand->activation != block.depthwise.activation) return {};
  const int64_t in_channels = block.expand ? block.expand->conv.in_channels : depthwise.in_channels;
  if (!ops::InvertedResidual::supports(depthwise, in_channels, dtype_)) return {};
  ops::InvertedResidual::Layers layers{block.expand ? fold(*block.expand) : ops::Affine{},
                                       fold(block.depthwise),
                                       fold(block.project),
                                       depthwise.stride,
                                       block.residual,
                                       ops::kind(block.depthwise.activation)};
  if (!block.excitation) return [op = ops::InvertedResidual(layers, dtype_)](const at::Tensor& x) { return op(x); };
  const ops::Affine project = std::exchange(layers.project, {});
  return ExcitedResidual{ops::InvertedResidual(layers, dtype_), scales(*block.excitation),
                         ops::ScaledProjection(project, dtype_), block.residual, dtype_};
}

Op CpuLowering::batch_norm(const nn::BatchNorm2d& norm, std::optional<nn::Activation> activation) const {
  if (!ops::Preactivation::supports(dtype_)) return {};
  return [op = ops::Preactivation(norm, activation), type = dtype_](const at::Tensor& x) { return op(x.to(type)); };
}

Op CpuLowering::preactivated_convolution(const nn::PreactivatedConvolution& block) const {
  if (!projects(block, dtype_)) return {};
  return [op = projection(block, dtype_)](const at::Tensor& x) { return op(x); };
}

Op CpuLowering::dense_block(const nn::DenseBlock& block, const nn::Shape& input) const {
  DenseOp op{{}, input[0], dtype_};
  for (const nn::DenseLayer& layer : block.layers) {
    const nn::Conv2dNormActivation& growth = layer.growth;
    if (!projects(layer.hidden, dtype_) || growth.activation || !ops::Convolution::supports(growth.conv, dtype_))
      return {};
    op.layers.push_back(
        {projection(layer.hidden, dtype_),
         ops::Convolution(growth.conv, fold(growth), {count_, growth.conv.in_channels, input[1], input[2]}, dtype_),
         op.channels, growth.conv.out_channels});
    op.channels += growth.conv.out_channels;
  }
  return op;
}

Convolution CpuLowering::excited_convolution(const nn::SqueezeExcitation& block, const nn::Conv2dNormActivation& last,
                                             const nn::Shape& input, std::optional<nn::Activation> activation) const {
  if (!ops::ScaledProjection::supports(last.conv, dtype_))
    return Lowering::excited_convolution(block, last, input, activation);
  return [scales = scales(block), project = ops::ScaledProjection(fold(last), dtype_), type = dtype_, activation](
             const at::Tensor& input, const at::Tensor& residual) {
    const at::Tensor x = input.to(type).contiguous(at::MemoryFormat::ChannelsLast);
    return project(x, scales(ops::average_pool(x).flatten(1)), residual, activation);
  };
}

Op CpuLowering::max_pool(const nn::MaxPool2d& pool) const {
  if (!ops::supports_pooling(dtype_)) return {};
  return [pool](const at::Tensor& x) { return ops::max_pool(x, pool); };
}

Op CpuLowering::adaptive_avg_pool(const nn::AdaptiveAvgPool2d& pool) const {
  return pool.output_size == 1 && ops::supports_pooling(dtype_) ? ops::average_pool : Op();
}

}  // namespace visiontorch::infer
