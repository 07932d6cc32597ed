#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Depthwise convolutions.

// Computes one row of `count` channels, at most a vector.
template <class T, int Kernel>
struct DepthwiseRow {
  const T* rows[Kernel];
  int64_t channels, count;
  Vector weights[Kernel * Kernel], bias;
  Vector least, most;     // ReLU and ReLU6 are max(least, min(y, most))
  Activation activation;  // for the other functions
  T* out;
  int64_t out_stride;
  bool adds_up;
  Vector sum;
};

// Computes several pixels at a time, because neighbors share what they load. Partial: fewer channels than lanes are
// left.
template <int Pixels, int Stride, bool Partial, int Kernel, class T>
inline void depthwise_pixels(DepthwiseRow<T, Kernel>& d, int64_t x) {
  constexpr int kSpan = (Pixels - 1) * Stride + Kernel;
  const int64_t count = Partial ? d.count : kLanes;
  Vector sums[Pixels];
#pragma GCC unroll 4
  for (int i = 0; i < Pixels; i++) sums[i] = d.bias;
#pragma GCC unroll 7
  for (int row = 0; row < Kernel; row++) {
    const T* in = d.rows[row] + x * Stride * d.channels;
    Vector pixels[kSpan];
#pragma GCC unroll 11
    for (int i = 0; i < kSpan; i++) pixels[i] = load(in + i * d.channels, count);
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++)
#pragma GCC unroll 7
      for (int k = 0; k < Kernel; k++) sums[i] = fma(pixels[i * Stride + k], d.weights[row * Kernel + k], sums[i]);
  }
  if (clamps(d.activation)) {
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++) sums[i] = larger(d.least, smaller(d.most, sums[i]));
  } else if (d.activation == Activation::Hardswish) {
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++) sums[i] = hardswish(sums[i]);
  } else if (d.activation == Activation::SiLU) {
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++) sums[i] = silu(sums[i]);
  } else {
    Vector copy[Pixels];
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++) copy[i] = sums[i];
    activate(copy, Pixels, d.activation);
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++) sums[i] = copy[i];
  }
  if (d.adds_up) d.sum += total<Pixels>(sums);
  T* out = d.out + x * d.out_stride;
#pragma GCC unroll 4
  for (int i = 0; i < Pixels; i++) store(out + i * d.out_stride, sums[i], count);
}

template <int Stride, bool Partial, int Kernel, class T>
inline void depthwise_row(const Depthwise<T>& p, int64_t y, int64_t c) {
  DepthwiseRow<T, Kernel> d;
  for (int row = 0; row < Kernel; row++) d.rows[row] = p.rows[y * Stride + row] + c;
  d.channels = p.channels;
  d.count = p.channels - c;
#pragma GCC unroll 49
  for (int i = 0; i < Kernel * Kernel; i++) d.weights[i] = load(p.weights + i * p.weight_stride + c, d.count);
  d.bias = load(p.bias + c, d.count);
  d.least = all(p.activation == Activation::None ? -__builtin_inff() : 0);
  d.most = all(p.activation == Activation::ReLU6 ? 6 : __builtin_inff());
  d.activation = p.activation;
  d.out = p.out + y * p.out_width * p.out_stride + c;
  d.out_stride = p.out_stride;
  d.adds_up = p.sums != nullptr;
  d.sum = all(0);
  const int64_t width = p.out_width;
  int64_t x = 0;
  for (; x + 4 <= width; x += 4) depthwise_pixels<4, Stride, Partial>(d, x);
  for (; x < width; x++) depthwise_pixels<1, Stride, Partial>(d, x);
  if (p.sums) store(p.sums + y * p.sum_stride + c, d.sum, d.count);
}

// Computes the channels of a cache line together, so that each line is fetched once per row.
template <int Kernel, int Stride, class T>
void depthwise_rows(const Depthwise<T>& d) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t first = 0; first < d.channels; first += kLine) {
    const int64_t last = least(first + kLine, d.channels);
    for (int64_t y = 0; y < d.out_rows; y++) {
      int64_t c = first;
      for (; c + kLanes <= last; c += kLanes) depthwise_row<Stride, false, Kernel>(d, y, c);
      if (c < last) depthwise_row<Stride, true, Kernel>(d, y, c);
    }
  }
}

template <class T>
void depthwise(const Depthwise<T>& d) {
  switch (d.kernel_size) {
    case 3: return d.stride == 1 ? depthwise_rows<3, 1>(d) : depthwise_rows<3, 2>(d);
    case 5: return d.stride == 1 ? depthwise_rows<5, 1>(d) : depthwise_rows<5, 2>(d);
    case 7: return depthwise_rows<7, 1>(d);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
