#pragma once

#include <cstddef>
#include <cstdint>

#include "image/image.h"
#include "image/weights.h"

namespace visiontorch::image {

// The two inner loops of resampling. Every implementation gives the same bytes, since all sums are exact integers.
struct ResampleRows {
  // All rows of `source` to `out`, which has as many, of weights.count() pixels.
  void (*horizontal)(View source, Image& out, const Weights& weights);
  // Output row `i` of the vertical pass: `bytes` sums over rows that lie `stride` apart, from `in` on.
  void (*vertical)(const std::uint8_t* in, std::size_t stride, std::uint8_t* out, int bytes, const Weights& weights,
                   int i);
};

extern const ResampleRows kPortableRows;
#if defined(__x86_64__)
extern const ResampleRows kAvx2Rows;
#endif

// The fastest that this processor runs.
const ResampleRows& resample_rows();

}  // namespace visiontorch::image
