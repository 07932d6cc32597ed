#pragma once

#include <cstddef>
#include <cstdint>

#include "image/weights.h"

namespace visiontorch::image {

// The two inner loops of resampling. Every implementation gives the same bytes, since all sums are exact integers.
struct ResampleRows {
  // One row of RGB to weights.count() pixels. Up to `readable` bytes may be read from `in`.
  void (*horizontal)(const std::uint8_t* in, std::size_t readable, std::uint8_t* out, const Weights& weights);
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
