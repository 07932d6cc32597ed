#include "eager/activate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace visiontorch::eager {

at::Tensor activate(const at::Tensor& x, nn::Activation activation) {
  switch (activation) {
    case nn::Activation::ReLU: return at::relu(x);
    case nn::Activation::ReLU6: return at::hardtanh(x, 0, 6);
    case nn::Activation::Hardswish: return at::hardswish(x);
    case nn::Activation::Hardsigmoid: return at::hardsigmoid(x);
    case nn::Activation::SiLU: return at::silu(x);
    case nn::Activation::Sigmoid: return at::sigmoid(x);
    case nn::Activation::GELU: return at::gelu(x);
    case nn::Activation::Tanh: return at::tanh(x);
  }
  return x;
}

at::Tensor activate_(at::Tensor x, std::optional<nn::Activation> activation) {
  if (!activation) return x;
  // The gradient of most activations needs x itself.
  const bool keeps_x = at::GradMode::is_enabled() && x.requires_grad();
  switch (*activation) {
    case nn::Activation::ReLU: return at::relu_(x);
    case nn::Activation::ReLU6: return at::hardtanh_(x, 0, 6);
    case nn::Activation::Hardswish: return keeps_x ? at::hardswish(x) : at::hardswish_(x);
    case nn::Activation::Hardsigmoid: return keeps_x ? at::hardsigmoid(x) : at::hardsigmoid_(x);
    case nn::Activation::SiLU: return keeps_x ? at::silu(x) : at::silu_(x);
    case nn::Activation::Sigmoid: return at::sigmoid_(x);
    case nn::Activation::GELU: return keeps_x ? at::gelu(x) : at::gelu_(x);
    case nn::Activation::Tanh: return at::tanh_(x);
  }
  return x;
}

}  // namespace visiontorch::eager
