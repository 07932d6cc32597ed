#pragma once

#include "kernels/pooling/pooling.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

template <class T>
void max_pool_row(const MaxPoolRow<T>& pool) {
  const MaxPoolRow<T> p = pool;  // a copy, so that the compiler knows that no store changes it
  const int64_t top = p.row * p.stride - p.padding;
  const int64_t first_row = top > 0 ? top : 0, last_row = least(top + p.kernel_size, p.height);
  T* out = p.out;
  for (int64_t column = 0; column < p.out_width; column++, out += p.channels) {
    const int64_t left = column * p.stride - p.padding;
    const int64_t first = left > 0 ? left : 0, last = least(left + p.kernel_size, p.width);
    const T* window = p.image + (first_row * p.width + first) * p.channels;
    each_vector(p.channels, [&](int64_t c, int64_t count) {
      Vector largest = load(window + c, count);
      for (int64_t y = 0; y < last_row - first_row; y++)
        for (int64_t x = 0; x < last - first; x++)
          largest = larger(load(window + (y * p.width + x) * p.channels + c, count), largest);
      store(out + c, largest, count);
    });
  }
}

template <class T>
void pixel_mean(const PixelMean<T>& mean) {
  const PixelMean<T> p = mean;
  const Vector pixels = all(static_cast<float>(p.pixels));
  each_vector(p.channels, [&](int64_t c, int64_t count) {
    Vector sum = all(0);
    for (int64_t i = 0; i < p.pixels; i++) sum += load(p.x + i * p.stride + c, count);
    store(p.out + c, sum / pixels, count);
  });
}

template <class T>
void scale_pixels(const PixelScaling<T>& scaling) {
  const PixelScaling<T> p = scaling;
  for (int64_t i = 0; i < p.pixels; i++)
    each_vector(p.channels, [&](int64_t c, int64_t count) {
      T* x = p.x + i * p.stride + c;
      store(x, load(x, count) * load(p.factors + c, count), count);
    });
}

}  // namespace

}  // namespace visiontorch::kernels
