#pragma once

#include <cstdint>

namespace visiontorch::kernels {

// out[m, c] = (x[m, c] - mean) / sqrt(variance + eps) * weight[c] + bias[c], with the mean and variance of each row m
// in [0, count).
template <class T>
struct LayerNorm {
  const T* x;  // [count, channels]
  std::int64_t count, channels;
  const float *weight, *bias;
  float eps;
  T* out;  // may be x
};

}  // namespace visiontorch::kernels
