#pragma once

#include "kernels/simd/vector.h"
#include "kernels/winograd/transform_kernel.h"
#include "kernels/winograd/winograd.h"

namespace visiontorch::kernels {

namespace {

// The transformations for the gradient of the weights of Winograd's convolution.

template <class T>
void winograd_inputs(const WinogradTiles<T>& t) {
  for (int64_t tile = t.first; tile < t.last; tile++)
    gather(t.images, t.height, t.width, t.channels, tile, t.transformed + tile * t.channels, t.point_stride);
}

// y = A d for one column of four: the transpose of transform_output().
inline void transform_gradient(const Vector d[4], Vector y[6]) {
  const Vector even_a = fma(all(kA2), d[2], d[0]), odd_a = fma(all(kA2 * kA), d[3], all(kA) * d[1]);
  const Vector even_b = fma(all(kB2), d[2], d[0]), odd_b = fma(all(kB2 * kB), d[3], all(kB) * d[1]);
  y[0] = d[0];
  y[1] = even_a + odd_a;
  y[2] = even_a - odd_a;
  y[3] = even_b + odd_b;
  y[4] = even_b - odd_b;
  y[5] = d[3];
}

template <class T>
void winograd_gradients(const WinogradTiles<T>& t) {
  for (int64_t tile = t.first; tile < t.last; tile++) {
    const Place place = place_of(t.height, t.width, tile);
    const T* image = t.images + place.image * t.height * t.width * t.channels;
    T* out = t.transformed + tile * t.channels;
    for (int64_t c = 0; c < t.channels; c += kLanes)
      transform_tile<Winograd::kOut>(
          image, t.height, t.width, t.channels, place.y, place.x, c, transform_gradient,
          [&](int64_t point, Vector value) { store(out + point * t.point_stride + c, value, t.channels - c); });
  }
}

}  // namespace

}  // namespace visiontorch::kernels
