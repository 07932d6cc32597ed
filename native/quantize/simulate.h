#pragma once

#include <unordered_map>

#include "eager/forward.h"
#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::quantize {

// What a quantized network computes, in float32: the input of each quantized layer is rounded to bytes, and so is an
// input that is added to what a block computed, if its first and last layer are quantized. The network and the
// quantization must outlive this object.
class Simulation {
 public:
  Simulation(nn::Network& network, const nn::Quantization& quantization);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  eager::Mode mode() const { return {.input_hook = &input_hook_, .shortcut_hook = &shortcut_hook_}; }

 private:
  at::Tensor round(const at::Tensor& weight, const at::Tensor& input) const;

  std::unordered_map<const void*, const nn::QuantizedLayer*> by_weight_;
  eager::InputHook input_hook_;
  eager::ShortcutHook shortcut_hook_;
};

}  // namespace visiontorch::quantize
