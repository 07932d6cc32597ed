#pragma once

#include "kernels/simd/vector.h"
#include "kernels/winograd/winograd.h"

namespace visiontorch::kernels {

namespace {

// The transformations of Winograd F(4 x 4, 3 x 3).

constexpr float kA = 0.75F, kB = 1.5F, kA2 = kA * kA, kB2 = kB * kB;

// y = B^T d for one column of six: row p holds the coefficients of the product of (x - q) over the other points q.
inline void transform_input(const Vector d[6], Vector y[6]) {
  const Vector even_a = fma(all(-kB2), d[2], d[4]), odd_a = fma(all(-kB2), d[1], d[3]);
  const Vector even_b = fma(all(-kA2), d[2], d[4]), odd_b = fma(all(-kA2), d[1], d[3]);
  const Vector sum = all(-(kA2 + kB2)), product = all(kA2 * kB2);
  y[0] = fma(product, d[0], fma(sum, d[2], d[4]));
  y[1] = fma(all(kA), odd_a, even_a);
  y[2] = fma(all(-kA), odd_a, even_a);
  y[3] = fma(all(kB), odd_b, even_b);
  y[4] = fma(all(-kB), odd_b, even_b);
  y[5] = fma(product, d[1], fma(sum, d[3], d[5]));
}

// y = A^T m for one column of six, where A^T holds powers of the points.
inline void transform_output(const Vector m[6], Vector y[4]) {
  const Vector sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const Vector sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = fma(all(kA), difference_a, all(kB) * difference_b);
  y[2] = fma(all(kA2), sum_a, all(kB2) * sum_b);
  y[3] = fma(all(kA2 * kA), difference_a, fma(all(kB2 * kB), difference_b, m[5]));
}

struct Place {
  int64_t image, y, x;  // y, x: of the tile's first output pixel
};

inline Place place_of(int64_t height, int64_t width, int64_t tile) {
  constexpr int64_t out = Winograd::kOut;
  const int64_t tiles_x = (width + out - 1) / out, tiles = tiles_x * ((height + out - 1) / out);
  const int64_t in_image = tile % tiles;
  return {tile / tiles, in_image / tiles_x * out, in_image % tiles_x * out};
}

// Transforms the n x n pixels of an image that start at (y, x) along both axes, with zeros outside of the image.
// put(point, vector) receives the results for the vector of channels that starts at c.
template <int64_t n, class T, class Transform, class Put>
inline void transform_tile(const T* image, int64_t height, int64_t width, int64_t channels, int64_t y, int64_t x,
                           int64_t c, const Transform& transform, const Put& put) {
  constexpr int64_t points = Winograd::kIn;
  const int64_t count = channels - c;
  Vector columns[n][points];  // [x][point], transformed along y
  for (int64_t j = 0; j < n; j++) {
    Vector d[n];
#pragma GCC unroll 6
    for (int64_t i = 0; i < n; i++) {
      const bool inside = x + j >= 0 && x + j < width && y + i >= 0 && y + i < height;
      const int64_t pixel = (y + i) * width + x + j;
      d[i] = inside ? load_and_fetch(image + pixel * channels + c, count, 4 * kLanes) : all(0);
    }
    transform(d, columns[j]);
  }
  for (int64_t i = 0; i < points; i++) {
    Vector d[n], result[points];
#pragma GCC unroll 6
    for (int64_t j = 0; j < n; j++) d[j] = columns[j][i];
    transform(d, result);
#pragma GCC unroll 6
    for (int64_t j = 0; j < points; j++) put(i * points + j, result[j]);
  }
}

// V[point][tile][channel] = B^T d B of the pixels that the tile's outputs depend on.
template <class T, class Transformed>
inline void gather(const T* images, int64_t height, int64_t width, int64_t channels, int64_t tile, Transformed* v,
                   int64_t point_stride) {
  const Place place = place_of(height, width, tile);
  const T* image = images + place.image * height * width * channels;
  for (int64_t c = 0; c < channels; c += kLanes)
    transform_tile<Winograd::kIn>(
        image, height, width, channels, place.y - 1, place.x - 1, c, transform_input,
        [&](int64_t point, Vector value) { store(v + point * point_stride + c, value, channels - c); });
}

}  // namespace

}  // namespace visiontorch::kernels
