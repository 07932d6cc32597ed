#pragma once

#include <optional>
#include <unordered_map>

#include "eager/forward.h"
#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::infer {

// The values of bytes.
at::Tensor from_bytes(const at::Tensor& x, const nn::ByteScale& scale);

// A layer that computes in integers, and what its result becomes.
struct Int8Layer {
  nn::QuantizedLayer layer;
  bool has_kernel = false;                // for this layer on this processor
  std::optional<nn::ByteScale> output{};  // of the result, if all that read it take bytes of this scale
  // Of a shortcut that is added and that is the block's input: it is rounded as the block's first layer rounds it.
  std::optional<nn::ByteScale> residual{};
};

// The quantized layers of a network, found by their weights, since the lowering copies blocks. Knows between which of
// them bytes can stay bytes.
class Int8Layers {
 public:
  Int8Layers(const nn::Network& network, const nn::Quantization& quantization);
  Int8Layers(const Int8Layers&) = delete;
  Int8Layers& operator=(const Int8Layers&) = delete;

  // The bytes that the network reads; null if it reads float32.
  const std::optional<nn::ByteScale>& input() const { return input_; }
  // Null if the layer is not quantized.
  const Int8Layer* find(const at::Tensor& weight) const;
  // The bytes that the layer after this block reads; null if it reads float32.
  std::optional<nn::ByteScale> output_of(const nn::SqueezeExcitation& block) const;
  // Rounds the inputs of quantized layers, for those that compute in float32.
  const eager::InputHook& rounding() const { return rounding_; }

 private:
  std::unordered_map<const void*, Int8Layer> layers_;
  std::unordered_map<const void*, nn::ByteScale> excited_;  // by the first weight
  std::optional<nn::ByteScale> input_;
  eager::InputHook rounding_;
};

}  // namespace visiontorch::infer
