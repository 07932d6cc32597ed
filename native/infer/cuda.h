#pragma once

#include "infer/lowering.h"

namespace visiontorch::infer {

// A GPU's back end: LibTorch's and cuDNN's operators. Launching a kernel takes longer there than most of them compute,
// hence as few for a layer as there are operators for.
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

// Whether cuDNN computes convolution, bias, residual and ReLU as one kernel here, as far as networks have run.
// Unsupported: not for at least one of their convolutions, which separate operators compute.
enum class CudnnFusion { Untried, Used, Unsupported };
CudnnFusion cudnn_fusion();

}  // namespace visiontorch::infer
