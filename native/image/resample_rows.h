#pragma once

#include <cstddef>
#include <cstdint>

#include "image/image.h"
#include "image/weights.h"

namespace visiontorch::image {

// The two inner loops of resampling. All implementations give the same bytes, because the sums are exact integers.
struct ResampleRows {
  // Resamples all rows of `source` to `out`, which has as many rows, of weights.count() pixels.
  void (*horizontal)(View source, Image& out, const Weights& weights);
  // Computes output row `i` of the vertical pass: `bytes` sums over rows from `in` on, `stride` bytes apart.
  void (*vertical)(const std::uint8_t* in, std::size_t stride, std::uint8_t* out, int bytes, const Weights& weights,
                   int i);
};

extern const ResampleRows kPortableRows;
#if defined(__x86_64__)
extern const ResampleRows kAvx2Rows;
#endif

// Returns the fastest implementation that this processor supports.
const ResampleRows& resample_rows();

}  // namespace visiontorch::image
