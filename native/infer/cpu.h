#pragma once

#include "infer/lowering.h"

namespace visiontorch::infer {

// The back end for CPUs: this project's own kernels, or oneDNN's if there are none, with weights packed for the inputs'
// shape. dtype: float32 or bfloat16.
class CpuLowering : public Lowering {
 public:
  // Tuned for this number of images at a time; other numbers work too.
  CpuLowering(at::ScalarType dtype, int64_t count) : Lowering(dtype, at::kCPU), count_(count) {}

  at::Tensor prepare(const at::Tensor& images) const override;

 protected:
  Convolution convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                          std::optional<nn::Activation> activation) const override;
  Op linear(const nn::Linear& linear, std::optional<nn::Activation> activation) const override;
  Convolution token_linear(const nn::Linear& linear, std::optional<nn::Activation> activation,
                           const at::Tensor& scale) const override;
  Op layer_norm(const nn::LayerNorm& norm) const override;
  Convolution mlp(const nn::LayerNorm& norm, const nn::LinearActivation& hidden, const nn::Linear& out,
                  const at::Tensor& scale, const nn::Shape& input) const override;
  Op attention(const nn::MultiheadAttention& block, const nn::Shape& input) const override;
  Op attention(const nn::WindowAttention& block, const nn::Shape& input) const override;
  Convolution excited_convolution(const nn::SqueezeExcitation& block, const nn::Conv2dNormActivation& last,
                                  const nn::Shape& input, std::optional<nn::Activation> activation) const override;
  Op max_pool(const nn::MaxPool2d& pool) const override;
  Op adaptive_avg_pool(const nn::AdaptiveAvgPool2d& pool) const override;
  Op batch_norm(const nn::BatchNorm2d& norm, std::optional<nn::Activation> activation) const override;
  Op inverted_residual(const nn::InvertedResidual& block) const override;
  Op preactivated_convolution(const nn::PreactivatedConvolution& block) const override;
  Op dense_block(const nn::DenseBlock& block, const nn::Shape& input) const override;

 private:
  const int64_t count_;
};

}  // namespace visiontorch::infer
