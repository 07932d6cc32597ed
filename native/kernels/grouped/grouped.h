#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// A 3 x 3 convolution with padding 1, of one group whose outputs fill a vector: some rows of one image. IndirectGemm
// would read a value of the image for each sum that it adds to; here, neighboring outputs share it.
struct Grouped {
  const float* image;                        // of the group's first channel
  std::int64_t height, width, pixel_stride;  // of the image
  std::int64_t depth;                        // inputs of the group, at most kGroupedDepth
  std::int64_t stride;                       // 1 or 2
  const float* weights;                      // [row of the window][input][column of the window][lanes]
  const float* bias;                         // [lanes]
  std::int64_t first, last, out_width;       // rows of the output
  float* out;                                // of row 0
  std::int64_t out_stride;                   // from pixel to pixel
  Activation activation;
};
constexpr std::int64_t kGroupedDepth = 16;

// In floats, for so many rows of the output.
constexpr std::int64_t grouped_scratch(std::int64_t rows, std::int64_t stride, std::int64_t width) {
  return ((rows - 1) * stride + 3) * (width + 2) * kGroupedDepth;
}

}  // namespace visiontorch::kernels
