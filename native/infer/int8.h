#pragma once

#include <memory>

#include "infer/cpu.h"
#include "infer/int8_layers.h"

namespace visiontorch::infer {

// The back end of quantized networks: their quantized layers multiply bytes, and everything else is the CPU's back end
// in float32.
class Int8Lowering : public CpuLowering {
 public:
  // Whether this processor has kernels for bytes.
  static bool is_available();

  Int8Lowering(std::shared_ptr<const Int8Layers> layers, int64_t count);

 private:
  Convolution convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                          std::optional<nn::Activation> activation) const override;
  Op linear(const nn::Linear& linear, std::optional<nn::Activation> activation) const override;
  Convolution token_linear(const nn::Linear& linear, std::optional<nn::Activation> activation,
                           const at::Tensor& scale) const override;
  Convolution mlp(const nn::LayerNorm& norm, const nn::LinearActivation& hidden, const nn::Linear& out,
                  const at::Tensor& scale, const nn::Shape& input) const override;
  Op max_pool(const nn::MaxPool2d& pool) const override;
  Op excitation(const nn::SqueezeExcitation& block) const override;
  Convolution excited_convolution(const nn::SqueezeExcitation& block, const nn::Conv2dNormActivation& last,
                                  const nn::Shape& input, std::optional<nn::Activation> activation) const override {
    return Lowering::excited_convolution(block, last, input, activation);
  }
  Op inverted_residual(const nn::InvertedResidual& block) const override;
  // These are composed of their layers.
  Op preactivated_convolution(const nn::PreactivatedConvolution&) const override { return {}; }
  Op dense_block(const nn::DenseBlock&, const nn::Shape&) const override { return {}; }
  visiontorch::eager::Mode mode() const override { return {.input_hook = &layers_->rounding()}; }

  std::shared_ptr<const Int8Layers> layers_;
};

}  // namespace visiontorch::infer
