#pragma once

#include <string>
#include <vector>

#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::quantize {

// A convolution with the batch norm that follows it, if one does, or a linear layer. Points into a network. Layers of
// squeeze-and-excitations and of attention are not among them: they compute in floating point.
struct Layer {
  std::string name;  // in the state dict
  nn::Conv2d* conv = nullptr;
  nn::BatchNorm2d* norm = nullptr;
  nn::Linear* linear = nullptr;

  at::Tensor& weight() const { return conv ? conv->weight : linear->weight; }
  // Where the bias is stored once the batch norm is folded in; null if the layer has no place for one.
  at::Tensor* bias() const;
  // What the layer computes: weight [out, ...] and bias [out], with the batch norm folded in.
  struct Affine {
    at::Tensor weight, bias;
  };
  Affine fold() const;
  // Makes the layer compute this, with a batch norm that changes nothing. The bias is dropped if there is no place.
  void set(const Affine& affine) const;
  // Without the batch norm and the bias.
  at::Tensor apply(const at::Tensor& x, const at::Tensor& weight) const;
};

// In the order of the state dict, without those of auxiliary heads.
std::vector<Layer> layers(nn::Network& network);

// A weight in integers: symmetric, with one scale for each output.
struct QuantizedWeight {
  at::Tensor values;  // int8 in [-127, 127]
  at::Tensor scale;   // float32 [out]
};
QuantizedWeight quantize_weight(const at::Tensor& weight);
at::Tensor dequantize(const QuantizedWeight& weight);

}  // namespace visiontorch::quantize
