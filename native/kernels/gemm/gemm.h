#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// A matrix [rows, columns] of weights, cut into panels that are a few vectors wide: [count][rows][width]. The product
// reads them sequentially. Surplus columns of the last panel are zeros. In bfloat16, two rows are interleaved:
// [count][rows / 2][width][2].
struct Panels {
  std::int64_t rows, columns, width, count;
  std::int64_t stride() const { return rows * width; }  // from panel to panel
  std::int64_t padded_columns() const { return count * width; }
};

// A matrix product that finds its rows by pointers, so a convolution does not have to copy its windows: Dukhan, "The
// Indirect Convolution Algorithm", arXiv:1907.02129.
// out[m, :] = epilogue(sum over taps of rows[tap][m][0 .. depth) x weights), for m in [0, count) and the panels
// [first, last). rows: [taps][count] pointers; out: `stride` values from row to row. Sums are float32 for every type.
// In bfloat16, the depth must be even.
template <class In, class Out>
struct IndirectGemm {
  const In* const* rows;
  std::int64_t count, taps, depth;
  Panels panels;  // of [taps * depth, out channels]
  const In* weights;
  const float* bias;  // [padded_columns], or null
  std::int64_t first, last;
  Out* out;
  std::int64_t stride;
  Epilogue<Out> epilogue;
  // If not null, out[m, :] is at out + offsets[m] instead, and so is its residual.
  const std::int64_t* offsets = nullptr;
  std::int64_t offset = 0;  // of the multiplied values in every row
};

// to[column, row] = from[row, column]. The strides are the distances between rows.
struct Transposition {
  const float* from;
  std::int64_t stride, rows, columns;
  float* to;
  std::int64_t to_stride;
};

// A linear layer that uses its weights as they are stored:
// out[m, o] = activation(sum over k of x[m, k] * weights[o, k] + bias[o]), for m in [0, count) and the outputs
// [first, last). Sums are float32 for every type.
template <class T>
struct Linear {
  const T* x;  // [count, inputs]
  std::int64_t count, inputs, outputs;
  const T* weights;   // [outputs, inputs]
  const float* bias;  // [outputs]
  std::int64_t first, last;
  float* out;  // [count, outputs]
  Activation activation;
};

// The product of a transposed matrix with another, for gradients of weights:
// out[row, tap * tap_stride + column] = sum over t in [0, count) of a[t][row] * b[tap][t][column].
// The sum is added to the existing values unless it is the `first` of several.
template <class T>
struct GemmTN {
  const T* const* a = nullptr;  // [count] pointers
  const T* const* b = nullptr;  // [taps][count] pointers
  std::int64_t count = 0;       // at most kGemmTNDepth
  std::int64_t taps = 1, rows, columns;
  float* out;
  std::int64_t stride, tap_stride = 0;  // stride: from row to row
  bool first = false;
  // The rows of a, and of one tap of b, that the next sum will read. They are prefetched into the cache.
  const T *const *next_a = nullptr, *const *next_b = nullptr;  // [next_count] pointers
  std::int64_t next_count = 0;
};
constexpr std::int64_t kGemmTNDepth = 128;
std::int64_t gemm_tn_scratch(std::int64_t rows, std::int64_t columns);  // in floats, for any count

// out[i, c] = activation(sum over parts[group][i][c] + bias[c] + residual[i, c]).
template <class T>
struct Combination {
  const float* parts;
  std::int64_t groups, rows, channels;
  const float* bias;
  const T* residual;  // or null
  T* out;
  Activation activation = Activation::None;
};

// out[i] = sum over parts of parts[part][i], in their order, for i in [begin, end). At least two parts.
struct PartSum {
  const float* parts;  // [count][size]
  std::int64_t count, size, begin, end;
  float* out;
};

}  // namespace visiontorch::kernels
