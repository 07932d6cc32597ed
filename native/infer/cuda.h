#pragma once

#include "infer/lowering.h"

namespace visiontorch::infer {

// The back end for GPUs: LibTorch's and cuDNN's operators. Launching a kernel takes longer than most kernels run, so
// each layer uses as few as there are operators for.
class CudaLowering : public Lowering {
 public:
  CudaLowering(const nn::Network& network, at::ScalarType dtype, at::Device device);

  at::Tensor prepare(const at::Tensor& images) const override;

 private:
  Convolution convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                          std::optional<nn::Activation> activation) const override;
  Op linear(const nn::Linear& linear, std::optional<nn::Activation> activation) const override;

  const at::MemoryFormat format_;
};

// Whether cuDNN computes convolution, bias, residual and ReLU in one kernel here, judging by the networks that have
// run. Unsupported: separate operators had to compute at least one of their convolutions.
enum class CudnnFusion { Untried, Used, Unsupported };
CudnnFusion cudnn_fusion();

}  // namespace visiontorch::infer
