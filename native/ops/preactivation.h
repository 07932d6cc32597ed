#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "nn/layers.h"
#include "ops/packing.h"
#include "ops/windows.h"

namespace visiontorch::ops {

// A batch norm with its running statistics, and an activation.
class Preactivation {
 public:
  static bool supports(at::ScalarType type);

  Preactivation(const nn::BatchNorm2d& norm, std::optional<nn::Activation> activation);

  // x: [n, channels, h, w] in float32 or bfloat16 -> the same in channels-last.
  at::Tensor operator()(const at::Tensor& x) const;

  // The mean over taps of what becomes of rows [taps][count]; the results are `stride` values apart.
  template <class T>
  void operator()(const T* const* rows, int64_t count, int64_t taps, T* out, int64_t stride) const;

 private:
  at::Tensor scale_, offset_;
  kernels::Activation activation_;
};

// A preactivation, a 1 x 1 convolution and perhaps an average pool. The rows that are about to be multiplied go through
// the preactivation into the cache, so it needs no pass over the images of its own. The pool comes before the product,
// which is the same and has a quarter of the rows.
class PreactivatedProjection {
 public:
  static bool supports(const nn::Conv2d& conv, std::optional<nn::Activation> activation,
                       const std::optional<nn::AvgPool2d>& pool, at::ScalarType type);

  // layer: its weight is [out, in, 1, 1]. activation: of the result.
  PreactivatedProjection(Preactivation before, const Affine& layer, std::optional<nn::Activation> activation,
                         const std::optional<nn::AvgPool2d>& pool, at::ScalarType type);

  // x: [n, in, h, w], channels-last, perhaps some channels of a larger image -> [n, out, h', w'], channels-last.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  template <class T>
  void run(const at::Tensor& x, at::Tensor& y) const;

  Preactivation before_;
  std::optional<nn::Activation> activation_;
  Windows windows_;
  at::ScalarType type_;
  int64_t out_channels_;
  Packed packed_;
};

}  // namespace visiontorch::ops
