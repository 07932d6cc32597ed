#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>
#include <optional>

#include "infer/int8_layers.h"
#include "infer/lowering.h"
#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::infer {

// A network that is prepared for inference: batch norms are folded into the convolutions before them, activations and
// residual additions are fused into the convolutions, and on the CPU the weights are packed for the input's shape. It
// has its own copy of the weights, so a change of the network needs a new plan.
class Plan {
 public:
  // The weights are packed for images of the sizes [n, 3, h, w] in `images`; another n works too. Throws
  // ERR_INVALID_ARGUMENT if the images are so small that the network would reduce them to nothing. With a
  // `quantization`, for which supports_int8() must hold, its layers compute in integers, and the others in `dtype`,
  // float32.
  Plan(const nn::Network& network, at::IntArrayRef images, at::ScalarType dtype, at::Device device,
       const nn::Quantization* quantization = nullptr);

  // Whether there are kernels for bytes.
  static bool supports_int8(at::Device device);

  // The bytes in which features() takes images, too; null if there are none.
  std::optional<nn::ByteScale> input() const { return int8_layers_ ? int8_layers_->input() : std::nullopt; }

  // float32 images, channels-last, on the CPU -> the classifier's input, in the plan's type: pooled features [n,
  // features] for most networks.
  at::Tensor features(const at::Tensor& images) const;
  // Features -> float32 logits [n, num_classes]. The first call prepares the network's classifier.
  at::Tensor logits(const nn::Network& network, const at::Tensor& features);
  // Must be called when the classifier's parameters have changed.
  void forget_classifier() { classifier_.clear(); }

 private:
  std::unique_ptr<Lowering> lowering(const nn::Network& network, int64_t count) const;

  at::ScalarType dtype_;
  at::Device device_;
  std::shared_ptr<const Int8Layers> int8_layers_;  // null: all layers compute in the plan's type
  int64_t chunk_;                                  // images per pass through the backbone
  std::unique_ptr<Lowering> lowering_;
  Ops backbone_, classifier_;
};

}  // namespace visiontorch::infer
