#pragma once

#include <ATen/core/Tensor.h>

#include "nn/layers.h"
#include "ops/packing.h"

namespace visiontorch::ops {

// Computes MobileNetV2's block as one operation: a 1 x 1 expansion, a depthwise convolution, a 1 x 1 projection, and
// the sum with the block's input. Each strip of rows goes through all three while it is in the cache, so that the
// expanded channels, six times as many, are never written to memory. The expansion and the projection may be missing.
class InvertedResidual {
 public:
  struct Layers {
    Affine expand;     // [hidden, in, 1, 1]; undefined if hidden == in
    Affine depthwise;  // [hidden, 1, k, k]
    Affine project;    // [out, hidden, 1, 1]; if undefined, the depthwise convolution gives the result
    int64_t stride;
    bool residual;
    kernels::Activation activation;  // after the first two
  };
  // Returns whether there are kernels for a block with this depthwise convolution and this many input channels.
  static bool supports(const nn::Conv2d& depthwise, int64_t in_channels, at::ScalarType type);
  // type: float32 or bfloat16.
  InvertedResidual(const Layers& layers, at::ScalarType type);

  // [n, in, h, w], channels-last -> [n, out, h', w'] in the block's type, channels-last. Without a projection, `means`,
  // if not null, receives the means of the result's pixels, [n, out] in float32.
  at::Tensor operator()(const at::Tensor& x, at::Tensor* means = nullptr) const;

 private:
  template <class T>
  struct Part;
  int64_t ring_rows(int64_t step) const { return (step - 1) * stride_ + kernel_size_; }
  int64_t padding() const { return kernel_size_ / 2; }
  template <class T>
  void run(const at::Tensor& x, at::Tensor& y, at::Tensor* means) const;
  template <class T, class Out>
  void compute(const at::Tensor& x, const Part<T>& part, Out* out) const;
  template <class T, class Slot>
  void expand(const at::Tensor& x, const Part<T>& part, int64_t begin, int64_t end, const Slot& slot) const;

  at::ScalarType type_;
  bool expands_, projects_, residual_;
  int64_t in_channels_, hidden_, out_channels_, kernel_size_, stride_;
  kernels::Activation activation_;
  Packed expand_, project_;
  at::Tensor depthwise_, depthwise_bias_;  // [k * k][hidden], [hidden]
};

}  // namespace visiontorch::ops
