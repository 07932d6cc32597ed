#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/x86/vector.h"

namespace visiontorch::kernels {

namespace {

// Depthwise convolution 3 x 3.

// One row of `count` channels, at most a vector of them.
template <class T>
struct DepthwiseRow {
  const T* rows[3];
  int64_t channels, count;
  Vector weights[9], bias, least, most;  // activation(y) = max(least, min(y, most))
  T* out;
};

// Computes several pixels at a time, since neighbors share what they load. Partial: fewer channels than lanes are left.
template <int Pixels, int Stride, bool Partial, class T>
inline void depthwise_pixels(const DepthwiseRow<T>& d, int64_t x) {
  constexpr int kSpan = (Pixels - 1) * Stride + 3;
  const int64_t count = Partial ? d.count : kLanes;
  Vector sums[Pixels];
#pragma GCC unroll 4
  for (int i = 0; i < Pixels; i++) sums[i] = d.bias;
#pragma GCC unroll 3
  for (int row = 0; row < 3; row++) {
    const T* in = d.rows[row] + x * Stride * d.channels;
    Vector pixels[kSpan];
#pragma GCC unroll 9
    for (int i = 0; i < kSpan; i++) pixels[i] = load(in + i * d.channels, count);
#pragma GCC unroll 4
    for (int i = 0; i < Pixels; i++)
#pragma GCC unroll 3
      for (int k = 0; k < 3; k++) sums[i] = fma(pixels[i * Stride + k], d.weights[row * 3 + k], sums[i]);
  }
  T* out = d.out + x * d.channels;
#pragma GCC unroll 4
  for (int i = 0; i < Pixels; i++) store(out + i * d.channels, larger(d.least, smaller(d.most, sums[i])), count);
}

template <int Stride, bool Partial, class T>
inline void depthwise_row(const Depthwise<T>& p, int64_t y, int64_t c) {
  DepthwiseRow<T> d;
  for (int row = 0; row < 3; row++) d.rows[row] = p.rows[y * Stride + row] + c;
  d.channels = p.channels;
  d.count = p.channels - c;
#pragma GCC unroll 9
  for (int i = 0; i < 9; i++) d.weights[i] = load(p.weights + i * p.weight_stride + c, d.count);
  d.bias = load(p.bias + c, d.count);
  d.least = all(p.activation == Activation::None ? -__builtin_inff() : 0);
  d.most = all(p.activation == Activation::ReLU6 ? 6 : __builtin_inff());
  d.out = p.out + y * p.out_width * p.channels + c;
  const int64_t width = p.out_width;
  int64_t x = 0;
  for (; x + 4 <= width; x += 4) depthwise_pixels<4, Stride, Partial>(d, x);
  for (; x < width; x++) depthwise_pixels<1, Stride, Partial>(d, x);
}

// Computes the channels of a cache line together, so that it is fetched once for each row.
template <int Stride, class T>
void depthwise_rows(const Depthwise<T>& d) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t first = 0; first < d.channels; first += kLine) {
    const int64_t last = least(first + kLine, d.channels);
    for (int64_t y = 0; y < d.out_rows; y++) {
      int64_t c = first;
      for (; c + kLanes <= last; c += kLanes) depthwise_row<Stride, false>(d, y, c);
      if (c < last) depthwise_row<Stride, true>(d, y, c);
    }
  }
}

template <class T>
void depthwise(const Depthwise<T>& d) {
  if (d.stride == 1) {
    depthwise_rows<1>(d);
  } else {
    depthwise_rows<2>(d);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
