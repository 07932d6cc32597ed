#pragma once

#include <string>
#include <vector>

#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::quantize {

// A convolution with the batch norm that follows it, if there is one, or a linear layer. Points into a network. The
// layers of squeeze-and-excitation and attention blocks are not among these: they compute in floating point.
struct Layer {
  std::string name;  // in the state dict
  nn::Conv2d* conv = nullptr;
  nn::BatchNorm2d* norm = nullptr;
  nn::Linear* linear = nullptr;

  at::Tensor& weight() const { return conv ? conv->weight : linear->weight; }
  // Returns where the bias is stored once the batch norm is folded in, or null if the layer has no place for one.
  at::Tensor* bias() const;
  // The parameters of a layer with the batch norm folded in: weight [out, ...] and bias [out].
  struct Affine {
    at::Tensor weight, bias;
  };
  Affine fold() const;
  // Gives the layer these parameters, and a batch norm that is the identity. Drops the bias if there is no place for
  // it.
  void set(const Affine& affine) const;
  // Without the batch norm and the bias.
  at::Tensor apply(const at::Tensor& x, const at::Tensor& weight) const;
};

// Returns the layers in the order of the state dict, without those of auxiliary heads.
std::vector<Layer> layers(nn::Network& network);

// A weight in integers: symmetric, with one scale per output.
struct QuantizedWeight {
  at::Tensor values;  // int8 in [-127, 127]
  at::Tensor scale;   // float32 [out]
};
QuantizedWeight quantize_weight(const at::Tensor& weight);
// With these scales: float32 [out].
QuantizedWeight quantize_weight(const at::Tensor& weight, const at::Tensor& scale);
// The largest magnitude of each output's weights: [out].
at::Tensor largest_weights(const at::Tensor& weight);
at::Tensor dequantize(const QuantizedWeight& weight);
// In place: floats that hold integers.
void dequantize_(at::Tensor& values, const at::Tensor& scale);

}  // namespace visiontorch::quantize
