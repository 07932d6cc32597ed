#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Sums of outer products, for the gradients of weights.

// Prefetches the rows of the next sum into the second-level cache, one line per step. It goes row by row, because a
// column would touch one page per row.
template <class T>
struct Fetching {
  const T *const *row, *const *end, *const *next_row, *const *next_end;
  int64_t values, next_values, column = 0;

  explicit Fetching(const GemmTN<T>& p)
      : row(p.next_a),
        end(p.next_a + p.next_count),
        next_row(p.next_b),
        next_end(p.next_b + p.next_count),
        values(p.rows),
        next_values(p.columns) {}

  void step() {
    if (row == end) return;
    __builtin_prefetch(*row + column, 0, 2);
    column += kLine<T>;
    if (column < values) return;
    column = 0;
    if (++row < end || end == next_end) return;
    row = next_row;
    end = next_end;
    values = next_values;
  }
};

// Computes out[r, c] = sum over t of a[t, r] * b[t, c], added to the existing values unless `first`, for one tile whose
// sums fit into the registers. The rows of a are `a_stride` apart, and b is [count][Vectors] vectors; only `rows` and
// `columns` of their values are used. For bfloat16, each float of a and b is a pair of values, of two consecutive t.
template <class T, int Vectors>
void gemm_tn_tile(const float* a, int64_t a_stride, const float* b, int64_t count, float* out, int64_t stride,
                  int64_t rows, int64_t columns, bool first, Fetching<T>& shared_fetching) {
  Fetching<T> fetching = shared_fetching;  // a copy that can stay in registers
  using Step = Step<T>;
  constexpr int kTile = kRows[Vectors];
  Vector sums[kTile][Vectors] = {};
#pragma GCC unroll 16
  for (int r = 0; r < kTile; r++)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) __builtin_prefetch(out + r * stride + v * kLanes, 1, 3);
  for (int64_t t = 0; t < count; t++, a += a_stride, b += Vectors * kLanes) {
    fetching.step();
    typename Step::Weights y[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) y[v] = Step::weights(reinterpret_cast<const T*>(b + v * kLanes));
#pragma GCC unroll 16
    for (int r = 0; r < kTile; r++) {
      const auto x = Step::factor(reinterpret_cast<const T*>(a + r));
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; v++) sums[r][v] = Step::add(sums[r][v], x, y[v]);
    }
  }
  shared_fetching = fetching;
#pragma GCC unroll 16
  for (int r = 0; r < kTile; r++) {
    if (r == rows) return;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
      float* p = out + r * stride + v * kLanes;
      if (!first) sums[r][v] += load(p, columns - v * kLanes);
      store(p, sums[r][v], columns - v * kLanes);
    }
  }
}

template <class T>
using GemmTNTile = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t, int64_t, int64_t, bool,
                            Fetching<T>&);
template <class T>
constexpr GemmTNTile<T> kGemmTNTiles[kMaxVectors + 1] = {nullptr, gemm_tn_tile<T, 1>, gemm_tn_tile<T, 2>,
                                                         gemm_tn_tile<T, 3>,
#if defined(__AVX512F__)
                                                         gemm_tn_tile<T, 4>
#endif
};

// Copies the next of `count` rows from this column on, or the next two rows of bfloat16 as pairs.
inline void copy_step(const float* const* rows, int64_t, int64_t column, int64_t columns, float* to) {
  store(to, load_and_fetch(rows[0] + column, columns));
}
#if defined(VISIONTORCH_BFLOAT16_KERNELS)
inline void copy_step(const BFloat16* const* rows, int64_t count, int64_t column, int64_t columns, float* to) {
  for (int64_t row = 0; row < least(count, 2); row++) __builtin_prefetch(rows[row] + column + kAhead, 0, 3);
  store_pairs(to, pair_rows(rows[0] + column, count > 1 ? rows[1] + column : nullptr, columns));
}
#endif

// Copies rows [count][columns] into [column / width][steps][width]; the parts of a row are `step` apart. Writes whole
// vectors.
template <class T>
inline void cut(const T* const* rows, int64_t count, int64_t columns, int64_t width, int64_t step, float* to) {
  constexpr int64_t kValues = Step<T>::kValues;
  const int64_t steps = (count + kValues - 1) / kValues;
  for (int64_t t = 0; t < count; t += kValues, to += step) {
    float* stretch = to;
    for (int64_t column = 0; column < columns; column += width, stretch += steps * step)
      for (int64_t c = 0; c < width; c += kLanes)
        copy_step(rows + t, count - t, column + c, columns - column - c, stretch + c);
  }
}

// Copies both matrices. A panel of b stays in the first-level cache while it is multiplied by all tiles of a, and a
// stays in the second-level cache.
template <class T>
void gemm_tn(const GemmTN<T>& p, float* scratch) {
  const int64_t width = layout(1, p.columns, 1).width, vectors = width / kLanes, tile = kRows[vectors];
  const int64_t a_width = (p.rows + kLanes - 1) / kLanes * kLanes, a_stride = a_width + kPad;
  const int64_t steps = (p.count + Step<T>::kValues - 1) / Step<T>::kValues;
  float *a = scratch, *b = a + steps * a_stride;
  Fetching<T> fetching(p);
  cut(p.a, p.count, p.rows, a_width, a_stride, a);
  for (int64_t tap = 0; tap < p.taps; tap++) {
    cut(p.b + tap * p.count, p.count, p.columns, width, width, b);
    for (int64_t column = 0; column < p.columns; column += width)
      for (int64_t row = 0; row < p.rows; row += tile)
        kGemmTNTiles<T>[vectors](a + row, a_stride, b + column * steps, steps,
                                 p.out + tap * p.tap_stride + row * p.stride + column, p.stride, p.rows - row,
                                 p.columns - column, p.first, fetching);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
