#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>

#include "infer/int8_layers.h"
#include "infer/lowering.h"
#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::infer {

// A network prepared for inference: batch norms folded into the convolutions before them, activations and residual
// additions fused into the convolutions, and on the CPU weights packed for the input's shape. Holds its own copy of the
// weights: a change of the network needs a new plan.
class Plan {
 public:
  // `images` are the sizes [n, 3, h, w] that the weights are packed for; another n works too. Throws
  // ERR_INVALID_ARGUMENT if the network leaves nothing of so small an image.
  // With a `quantization`, for which supports_int8() must hold, its layers compute in integers, and the others in
  // `dtype`, float32.
  Plan(const nn::Network& network, at::IntArrayRef images, at::ScalarType dtype, at::Device device,
       const nn::Quantization* quantization = nullptr);

  // Whether there are kernels for bytes.
  static bool supports_int8(at::Device device);

  // float32 images, channels-last, on the CPU -> what the classifier takes, in the plan's type: pooled features [n,
  // features] for most networks.
  at::Tensor features(const at::Tensor& images) const;
  // Features -> float32 logits [n, num_classes]. The network's classifier is prepared at the first call.
  at::Tensor logits(const nn::Network& network, const at::Tensor& features);
  // To be called when the classifier's parameters changed.
  void forget_classifier() { classifier_.clear(); }

 private:
  std::unique_ptr<Lowering> lowering(const nn::Network& network, int64_t count) const;

  at::ScalarType dtype_;
  at::Device device_;
  std::shared_ptr<const Int8Layers> int8_layers_;  // null: all layers compute in the plan's type
  int64_t chunk_;                                  // images that go through the backbone at a time
  std::unique_ptr<Lowering> lowering_;
  Ops backbone_, classifier_;
};

}  // namespace visiontorch::infer
