#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Transposes a matrix, to pack weights.

void transpose(const Transposition& p) {
  for (int64_t row = 0; row < p.rows; row += kLanes)
    for (int64_t column = 0; column < p.columns; column += kLanes) {
      Vector values[kLanes];
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; i++)
        values[i] =
            row + i < p.rows ? load_and_fetch(p.from + (row + i) * p.stride + column, p.columns - column) : all(0);
      transpose(values);
      for (int64_t i = 0; i < least(kLanes, p.columns - column); i++)
        store(p.to + (column + i) * p.to_stride + row, values[i], p.rows - row);
    }
}

}  // namespace

}  // namespace visiontorch::kernels
