#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"
#include "ops/layer_norm.h"
#include "ops/packing.h"

namespace visiontorch::ops {

// Computes a norm and two linear layers for a few rows at a time, so that the hidden features stay in the second-level
// cache.
class Mlp {
 public:
  // Whether this is faster than one layer after another for so many rows.
  static bool suits(const nn::Linear& hidden, int64_t rows, at::ScalarType type);

  // scale: factors of the result, or undefined.
  Mlp(const nn::LayerNorm& norm, const nn::Linear& hidden, nn::Activation activation, const nn::Linear& out,
      const at::Tensor& scale, at::ScalarType type);

  // x [..., in] -> out(activation(hidden(norm(x)))) * scale + residual. The result overwrites the residual, which may
  // be undefined or x itself.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& residual) const;

 private:
  template <class T>
  void run(const at::Tensor& x, at::Tensor& y, bool adds) const;

  at::ScalarType type_;
  nn::Activation activation_;
  at::Tensor norm_weight_, norm_bias_;
  double eps_;
  Packed hidden_, out_;
};

}  // namespace visiontorch::ops
