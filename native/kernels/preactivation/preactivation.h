#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// A norm and an activation in inference, before a layer that reads the result, and perhaps an average pool:
// out[m, c] = the mean over taps of activation(rows[tap][m][c] * scale[c] + offset[c]), for m in [0, count).
template <class T>
struct Preactivation {
  const T* const* rows;  // [taps][count] pointers
  std::int64_t count, taps, channels;
  const float *scale, *offset;
  Activation activation;
  T* out;  // `stride` values from row to row
  std::int64_t stride;
};

}  // namespace visiontorch::kernels
