#pragma once

#include <cstdint>

namespace visiontorch::kernels {

// Elementwise operations of training on matrices [count, channels], for rows m in [0, count).

// out[m, c] = gelu(x[m, c] + bias[c]).
struct BiasGelu {
  const float* x;
  std::int64_t count, channels;
  const float* bias;
  float* out;
};

// out[m, c] = gradient[m, c] * gelu'(x[m, c] + bias[c]), and sums[c] = the sum of out[m, c] over the rows.
struct BiasGeluGradient {
  const float *x, *gradient;
  std::int64_t count, channels;
  const float* bias;
  float* out;  // may be the gradient
  float* sums;
};

// out[m, c] = residual[m, c] + x[m, c] * factors[c].
struct ScaledSum {
  const float *x, *residual;
  std::int64_t count, channels;
  const float* factors;
  float* out;
};

// out[m, c] = gradient[m, c] * factors[c], and sums[c] = the sum of gradient[m, c] * x[m, c] over the rows.
struct ScaledSumGradient {
  const float *x, *gradient;
  std::int64_t count, channels;
  const float* factors;
  float *out, *sums;
};

}  // namespace visiontorch::kernels
