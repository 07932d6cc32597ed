#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Linear layers. Their weights are read in place, where each row has the weights of one output. The lanes run along the
// inputs.

// The number of the images' inputs that stay in the second-level cache while all weights are read.
template <class T>
constexpr int64_t kInputs = 8192 / sizeof(T);

// Loads a vector, with zeros beyond `count`.
template <class T>
inline typename Step<T>::Weights load_step(const T* p, int64_t count) {
  constexpr int64_t n = kLanes * Step<T>::kValues;
  if (count >= n) return Step<T>::weights(p);
  T values[n] = {};
  __builtin_memcpy(values, p, count * sizeof(T));
  return Step<T>::weights(values);
}

// out[m, o] += sum over k in [0, depth) of x[m, k] * weights[o, k], for Images x Outputs sums.
template <class T, int Images, int Outputs>
void linear_tile(const T* x, const T* weights, int64_t row, int64_t depth, float* out, int64_t stride) {
  Vector sums[Images][Outputs] = {};
  int64_t k = 0;
  // Prefetches the weights of the next outputs.
  auto add = [&](auto&& load_at) {
    typename Step<T>::Weights values[Images];
#pragma GCC unroll 4
    for (int m = 0; m < Images; m++) values[m] = load_at(x + m * row);
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; o++) {
      __builtin_prefetch(weights + (Outputs + o) * row + k, 0, 2);
      const auto w = load_at(weights + o * row);
#pragma GCC unroll 4
      for (int m = 0; m < Images; m++) sums[m][o] = Step<T>::add(sums[m][o], values[m], w);
    }
  };
  constexpr int64_t n = kLanes * Step<T>::kValues;
  for (; k + n <= depth; k += n) add([&](const T* p) { return Step<T>::weights(p + k); });
  if (k < depth) add([&](const T* p) { return load_step(p + k, depth - k); });
#pragma GCC unroll 4
  for (int m = 0; m < Images; m++)
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; o++) out[m * stride + o] += sum_of(sums[m][o]);
}

// The number of outputs that are computed at once for 1, 2, 3 and 4 images, so that the sums, the inputs and a weight
// fit into the registers.
#if defined(__AVX512F__)
constexpr int kOutputs[] = {0, 8, 8, 6, 6};
#else
constexpr int kOutputs[] = {0, 8, 5, 3, 2};
#endif
constexpr int kImages = 4;

template <class T>
struct LinearTiles {
  using Function = void (*)(const T*, const T*, int64_t, int64_t, float*, int64_t);
  Function tile[kImages + 1][kOutputs[1] + 1] = {};

  template <int Images, int Outputs>
  constexpr void fill() {
    tile[Images][Outputs] = linear_tile<T, Images, Outputs>;
    if constexpr (Outputs > 1) {
      fill<Images, Outputs - 1>();
    } else if constexpr (Images > 1) {
      fill<Images - 1, kOutputs[Images - 1]>();
    }
  }
  constexpr LinearTiles() { fill<kImages, kOutputs[kImages]>(); }
};
template <class T>
constexpr LinearTiles<T> kLinearTiles;

template <class T>
void linear(const Linear<T>& p) {
  for (int64_t m = 0; m < p.count; m++)
    for (int64_t o = p.first; o < p.last; o++) p.out[m * p.outputs + o] = p.bias[o];
  const int64_t images = least(kImages, p.count), outputs = kOutputs[images];
  const int64_t chunk = p.count > images ? kInputs<T> : p.inputs;
  for (int64_t k = 0; k < p.inputs; k += chunk)
    for (int64_t o = p.first; o < p.last; o += outputs)
      for (int64_t m = 0; m < p.count; m += images)
        kLinearTiles<T>.tile[least(images, p.count - m)][least(outputs, p.last - o)](
            p.x + m * p.inputs + k, p.weights + o * p.inputs + k, p.inputs, least(chunk, p.inputs - k),
            p.out + m * p.outputs + o, p.outputs);
  if (p.activation == Activation::None) return;
  for (int64_t m = 0; m < p.count; m++)
    each_vector(p.last - p.first, [&](int64_t o, int64_t count) {
      float* y = p.out + m * p.outputs + p.first + o;
      store(y, activate(load(y, count), p.activation), count);
    });
}

}  // namespace

}  // namespace visiontorch::kernels
