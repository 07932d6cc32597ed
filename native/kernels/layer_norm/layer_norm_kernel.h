#pragma once

#include "kernels/layer_norm/layer_norm.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Returns the sum of change(x[c]) over a row. It keeps four sums, because a single one would wait for each addition.
template <class T, class Change>
inline float sum_row(const T* x, int64_t channels, const Change& change) {
  Vector sums[4] = {};
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) sums[i] += change(load(x + c + i * kLanes));
  for (; c + kLanes <= channels; c += kLanes) sums[0] += change(load(x + c));
  float rest = 0;
  if (c < channels) {
    float values[kLanes];
    store(values, change(load(x + c, channels - c)));
    for (int i = 0; i < channels - c; i++) rest += values[i];
  }
  return sum_of(total<4>(sums)) + rest;
}

template <class T>
void layer_norm(const LayerNorm<T>& p) {
  const LayerNorm<T> norm = p;  // a copy, so that the compiler knows that no store changes it
  const auto channels = static_cast<float>(norm.channels);
  for (int64_t m = 0; m < norm.count; m++) {
    const T* x = norm.x + m * norm.channels;
    T* out = norm.out + m * norm.channels;
    const Vector mean = all(sum_row(x, norm.channels, [](Vector value) { return value; }) / channels);
    const float squares = sum_row(x, norm.channels, [&](Vector value) { return (value - mean) * (value - mean); });
    const Vector factor = all(1 / __builtin_sqrtf(squares / channels + norm.eps));
    each_vector(norm.channels, [&](int64_t c, int64_t count) {
      const Vector weight = load(norm.weight + c, count) * factor;
      store(out + c, fma(load(x + c, count) - mean, weight, load(norm.bias + c, count)), count);
    });
  }
}

}  // namespace

}  // namespace visiontorch::kernels
