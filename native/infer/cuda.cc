#include "infer/cuda.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <array>
#include <atomic>
#include <memory>
#include <string_view>

#include "eager/activate.h"

namespace visiontorch::infer {

namespace {

using Pair = std::array<int64_t, 2>;

std::atomic<CudnnFusion> fusion = CudnnFusion::Untried;

// Depending on its version, cuDNN says so in one of these ways.
bool is_unsupported(const c10::Error& error) {
  if (dynamic_cast<const c10::NotImplementedError*>(&error)) return true;
  const std::string_view message = error.what_without_backtrace();
  return message.find("NOT_SUPPORTED") != message.npos || message.find("find an engine") != message.npos;
}

// Computes convolution, bias, residual and ReLU in one kernel.
class FusedConvolution {
 public:
  // Returns the result, or undefined if separate operators must compute it: from now on, if cuDNN does not support this
  // convolution, or only this time, if it failed for another reason (such as too little memory).
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                        const nn::Conv2d& conv, const at::Tensor& residual) {
    if (!supported_) return {};
    const Pair stride = {conv.stride, conv.stride}, padding = conv.padding.both(),
               dilation = {conv.dilation, conv.dilation};
    try {
      at::Tensor y = residual.defined()
                         ? at::cudnn_convolution_add_relu(x, weight, residual, at::Scalar(1.0), bias, stride, padding,
                                                          dilation, conv.groups)
                         : at::cudnn_convolution_relu(x, weight, bias, stride, padding, dilation, conv.groups);
      CudnnFusion untried = CudnnFusion::Untried;
      fusion.compare_exchange_strong(untried, CudnnFusion::Used);
      return y;
    } catch (const c10::OutOfMemoryError&) {
      throw;
    } catch (const c10::Error& error) {
      if (is_unsupported(error)) {
        supported_ = false;
        fusion = CudnnFusion::Unsupported;
      }
      return {};
    }
  }

 private:
  bool supported_ = at::Context::hasCuDNN();
};

bool has_depthwise(nn::Nodes nodes) {
  bool found = false;
  nn::for_each_layer(nodes, "", [&](const std::string&, nn::Layer layer) {
    if (auto* conv = std::get_if<nn::Conv2d*>(&layer)) found = found || (*conv)->is_depthwise();
  });
  return found;
}

}  // namespace

CudnnFusion cudnn_fusion() { return fusion; }

// Channels-last, except for depthwise convolutions: for these, cuDNN compiles a kernel per convolution and batch size,
// which takes seconds. LibTorch's own kernels for the other layout are available at once, and about as fast.
CudaLowering::CudaLowering(const nn::Network& network, at::ScalarType dtype, at::Device device)
    : Lowering(dtype, device),
      format_(has_depthwise(network.backbone) ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast) {}

at::Tensor CudaLowering::prepare(const at::Tensor& images) const {
  return images.to(device_).to(dtype_).contiguous(format_);
}

Convolution CudaLowering::convolution(const nn::Conv2dNormActivation& block, const nn::Shape&,
                                      std::optional<nn::Activation> activation) const {
  const ops::Affine layer = fold(block);
  at::Tensor weight = layer.weight;
  if (layer.factors.defined()) weight = (weight * layer.factors.view({-1, 1, 1, 1})).to(at::kFloat);
  weight = weight.to(dtype_).contiguous(format_);
  std::optional<at::Tensor> bias;
  if (layer.bias.defined()) bias = layer.bias.to(dtype_);
  auto fused = std::make_shared<FusedConvolution>();
  return [fused, weight, bias, conv = block.conv, activation](const at::Tensor& x, const at::Tensor& residual) {
    if (activation == nn::Activation::ReLU)
      if (at::Tensor y = (*fused)(x, weight, bias, conv, residual); y.defined()) return y;
    at::Tensor y = at::conv2d(x, weight, bias, conv.stride, conv.padding.both(), conv.dilation, conv.groups);
    if (residual.defined()) y.add_(residual);
    return eager::activate_(y, activation);
  };
}

Op CudaLowering::linear(const nn::Linear& linear, std::optional<nn::Activation> activation) const {
  std::optional<at::Tensor> bias;
  if (linear.has_bias) bias = linear.bias.detach().to(dtype_);
  return [weight = linear.weight.detach().to(dtype_), bias, activation](const at::Tensor& x) {
    return eager::activate_(at::linear(x, weight, bias), activation);
  };
}

}  // namespace visiontorch::infer
