#include "infer/cuda.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <array>

namespace visiontorch::infer::cuda {

namespace {

at::Tensor activate(at::Tensor y, Fused activation) {
  if (!activation) return y;
  return *activation == nn::Activation::ReLU ? at::relu_(y) : at::hardtanh_(y, 0, 6);
}

using Pair = std::array<int64_t, 2>;

// Convolution, bias, residual and ReLU in one kernel; undefined where cuDNN has none for this type and processor.
at::Tensor fused(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                 const nn::Conv2d& conv, const at::Tensor& residual) {
  static bool available = at::Context::hasCuDNN();
  if (!available) return {};
  const Pair stride = {conv.stride, conv.stride}, padding = {conv.padding, conv.padding},
             dilation = {conv.dilation, conv.dilation};
  try {
    if (!residual.defined()) return at::cudnn_convolution_relu(x, weight, bias, stride, padding, dilation, conv.groups);
    return at::cudnn_convolution_add_relu(x, weight, residual, at::Scalar(1.0), bias, stride, padding, dilation,
                                          conv.groups);
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error&) {
    available = false;
    return {};
  }
}

}  // namespace

at::Tensor prepare(const ops::Affine& layer, at::ScalarType dtype, at::MemoryFormat format) {
  at::Tensor weight = layer.weight;
  if (layer.factors.defined()) weight = (weight * layer.factors.view({-1, 1, 1, 1})).to(at::kFloat);
  return weight.to(dtype).contiguous(format);
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       const nn::Conv2d& conv, Fused activation, const at::Tensor& residual) {
  if (activation == nn::Activation::ReLU)
    if (at::Tensor y = fused(x, weight, bias, conv, residual); y.defined()) return y;
  at::Tensor y = at::conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups);
  if (residual.defined()) y.add_(residual);
  return activate(y, activation);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Fused activation) {
  return activate(at::linear(x, weight, bias), activation);
}

}  // namespace visiontorch::infer::cuda
