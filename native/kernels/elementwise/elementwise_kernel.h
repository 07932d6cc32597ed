#pragma once

#include "kernels/elementwise/elementwise.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Calls work(offset, c, count) for each vector of a matrix, row by row.
template <class Work>
inline void each_vector_of_rows(int64_t rows, int64_t channels, const Work& work) {
  for (int64_t m = 0; m < rows; m++)
    each_vector(channels, [&](int64_t c, int64_t count) { work(m * channels + c, c, count); });
}

inline void clear(float* sums, int64_t channels) {
  each_vector(channels, [&](int64_t c, int64_t count) { store(sums + c, all(0), count); });
}

void bias_gelu(const BiasGelu& gelu_of) {
  const BiasGelu p = gelu_of;  // a copy, here and below, so that the compiler knows that no store changes it
  each_vector_of_rows(p.count, p.channels, [&](int64_t i, int64_t c, int64_t count) {
    store(p.out + i, gelu(load_and_fetch(p.x + i, count) + load(p.bias + c, count)), count);
  });
}

void bias_gelu_gradient(const BiasGeluGradient& gradient) {
  const BiasGeluGradient p = gradient;
  clear(p.sums, p.channels);
  each_vector_of_rows(p.count, p.channels, [&](int64_t i, int64_t c, int64_t count) {
    const Vector slope = gelu_derivative(load_and_fetch(p.x + i, count) + load(p.bias + c, count));
    const Vector result = load_and_fetch(p.gradient + i, count) * slope;
    store(p.out + i, result, count);
    store(p.sums + c, load(p.sums + c, count) + result, count);
  });
}

void scaled_sum(const ScaledSum& sum) {
  const ScaledSum p = sum;
  each_vector_of_rows(p.count, p.channels, [&](int64_t i, int64_t c, int64_t count) {
    const Vector x = load_and_fetch(p.x + i, count), residual = load_and_fetch(p.residual + i, count);
    store(p.out + i, fma(x, load(p.factors + c, count), residual), count);
  });
}

void scaled_sum_gradient(const ScaledSumGradient& sum) {
  const ScaledSumGradient p = sum;
  clear(p.sums, p.channels);
  each_vector_of_rows(p.count, p.channels, [&](int64_t i, int64_t c, int64_t count) {
    const Vector x = load_and_fetch(p.x + i, count), gradient = load_and_fetch(p.gradient + i, count);
    store(p.out + i, gradient * load(p.factors + c, count), count);
    store(p.sums + c, fma(gradient, x, load(p.sums + c, count)), count);
  });
}

}  // namespace

}  // namespace visiontorch::kernels
