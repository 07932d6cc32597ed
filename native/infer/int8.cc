#include "infer/int8.h"

#include <ATen/ATen.h>

#include <utility>

#include "eager/activate.h"
#include "ops/int8.h"
#include "ops/pooling.h"

namespace visiontorch::infer {

namespace {

ops::Int8Output output(const Int8Layer& layer, std::optional<nn::Activation> activation) {
  return {activation, layer.output, layer.residual};
}

}  // namespace

bool Int8Lowering::is_available() { return ops::has_int8_kernels(); }

Int8Lowering::Int8Lowering(std::shared_ptr<const Int8Layers> layers, int64_t count)
    : CpuLowering(at::kFloat, count), layers_(std::move(layers)) {}

Convolution Int8Lowering::convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                                      std::optional<nn::Activation> activation) const {
  const Int8Layer* layer = layers_->find(block.conv.weight);
  if (!layer) return CpuLowering::convolution(block, input, activation);
  if (ops::Int8Convolution::supports(block.conv))
    return [op = ops::Int8Convolution(block.conv, layer->layer, output(*layer, activation))](
               const at::Tensor& x, const at::Tensor& residual) { return op(x, residual); };
  if (ops::Int8Depthwise::supports(block.conv))
    return [alone = ops::Int8Depthwise(block.conv, layer->layer, output(*layer, activation)),
            before_sum = ops::Int8Depthwise(block.conv, layer->layer, {}),
            activation](const at::Tensor& x, const at::Tensor& residual) {
      return residual.defined() ? eager::activate_(before_sum(x).add_(residual), activation) : alone(x);
    };
  Convolution op = CpuLowering::convolution(block, input, activation);
  if (!op) return {};
  return [op = std::move(op), scale = layer->layer.input](const at::Tensor& x, at::Tensor residual) {
    return op(ops::rounded(x, scale), std::move(residual));
  };
}

Op Int8Lowering::linear(const nn::Linear& linear, std::optional<nn::Activation> activation) const {
  const Int8Layer* layer = layers_->find(linear.weight);
  if (!layer) return CpuLowering::linear(linear, activation);
  if (layer->has_kernel)
    return
        [op = ops::Int8Linear(linear, layer->layer, output(*layer, activation))](const at::Tensor& x) { return op(x); };
  Op op = CpuLowering::linear(linear, activation);
  if (!op) return {};
  return [op = std::move(op), scale = layer->layer.input](const at::Tensor& x) { return op(ops::rounded(x, scale)); };
}

Convolution Int8Lowering::token_linear(const nn::Linear& linear, std::optional<nn::Activation> activation,
                                       const at::Tensor& scale) const {
  const Int8Layer* layer = layers_->find(linear.weight);
  if (!layer) return CpuLowering::token_linear(linear, activation, scale);
  if (layer->has_kernel) {
    ops::Int8Output settings = output(*layer, activation);
    settings.factors = scale;
    return [op = ops::Int8Linear(linear, layer->layer, settings)](const at::Tensor& x, const at::Tensor& residual) {
      return op(x, residual);
    };
  }
  Convolution op = CpuLowering::token_linear(linear, activation, scale);
  if (!op) return {};
  return [op = std::move(op), input = layer->layer.input](const at::Tensor& x, at::Tensor residual) {
    return op(ops::rounded(x, input), std::move(residual));
  };
}

Convolution Int8Lowering::mlp(const nn::LayerNorm& norm, const nn::LinearActivation& hidden, const nn::Linear& out,
                              const at::Tensor& scale, const nn::Shape& input) const {
  const bool is_quantized = layers_->find(hidden.linear.weight) || layers_->find(out.weight);
  return is_quantized ? Convolution() : CpuLowering::mlp(norm, hidden, out, scale, input);
}

Op Int8Lowering::max_pool(const nn::MaxPool2d& pool) const {
  Op op = CpuLowering::max_pool(pool);
  if (!op) op = eager({"", pool});
  return [op = std::move(op), pool](const at::Tensor& x) {
    return x.scalar_type() == at::kByte ? ops::int8_max_pool(x, pool) : op(x);
  };
}

Op Int8Lowering::excitation(const nn::SqueezeExcitation& block) const {
  const std::optional<nn::ByteScale> scale = layers_->output_of(block);
  if (!scale) return CpuLowering::excitation(block);
  return [scales = scales(block), scale = *scale](const at::Tensor& x) {
    return ops::scaled_bytes(x, scales(ops::average_pool(x).flatten(1)), scale);
  };
}

// Blocks with excitation take the means from the depthwise convolution. Other quantized blocks are composed of their
// layers.
Op Int8Lowering::inverted_residual(const nn::InvertedResidual& block) const {
  const Int8Layer* depthwise = layers_->find(block.depthwise.conv.weight);
  const Int8Layer* project = layers_->find(block.project.conv.weight);
  const Int8Layer* expand = block.expand ? layers_->find(block.expand->conv.weight) : nullptr;
  if (!depthwise && !project && !expand) return CpuLowering::inverted_residual(block);
  auto multiplies = [](const Int8Layer* layer, const nn::Conv2d& conv) {
    return layer && ops::Int8Convolution::supports(conv);
  };
  if (!block.excitation || block.project.activation || !depthwise ||
      !ops::Int8Depthwise::supports(block.depthwise.conv) || !multiplies(project, block.project.conv) ||
      (block.expand && !multiplies(expand, block.expand->conv)))
    return {};
  const Convolution first = block.expand ? convolution(*block.expand, {}, block.expand->activation) : Convolution();
  return [first, scales = scales(*block.excitation), scale = project->layer.input, residual = block.residual,
          filter = ops::Int8Depthwise(block.depthwise.conv, depthwise->layer,
                                      output(*depthwise, block.depthwise.activation)),
          last = convolution(block.project, {}, {})](const at::Tensor& x) {
    at::Tensor means;
    const at::Tensor y = filter(first ? first(x, {}) : x, &means);
    return last(ops::scaled_bytes(y, scales(means), scale), residual ? x : at::Tensor());
  };
}

}  // namespace visiontorch::infer
