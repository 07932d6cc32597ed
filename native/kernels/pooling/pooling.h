#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// Computes one output row of max pooling, for inference: for each pixel, the largest value in the part of its window
// that is inside the image.
template <class T>
struct MaxPoolRow {
  const T* image;  // [height][width][channels]
  std::int64_t height, width, channels;
  std::int64_t kernel_size, stride, padding;
  std::int64_t row, out_width;
  T* out;  // [out_width][channels]
};

// out[c] = the mean of x[pixel][c].
template <class T>
struct PixelMean {
  const T* x;  // pixels `stride` values apart
  std::int64_t pixels, stride, channels;
  T* out;
};

// x[pixel][c] *= factors[c].
template <class T>
struct PixelScaling {
  T* x;  // pixels `stride` values apart
  std::int64_t pixels, stride, channels;
  const float* factors;  // [channels]
};

}  // namespace visiontorch::kernels
