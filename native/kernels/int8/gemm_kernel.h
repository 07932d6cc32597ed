#pragma once

#include "kernels/gemm/tile.h"
#include "kernels/int8/requantize.h"

namespace visiontorch::kernels {

namespace {

// The indirect product of indirect_gemm_kernel.h for bytes. The sums of a tile stay in registers for the whole depth.
template <class Out>
struct Int8Strip {
  int64_t tiles;
  const void* const* rows;
  int64_t row_count, taps, offset, depth;
  const ByteStep::Weight* weights;
  const std::int32_t* start;
  Out* out;
  int64_t stride, columns;
  const std::uint8_t* residual_bytes;
  const float* residual_floats;
  Requantization requantization;
};

template <class Out, int Rows, int Vectors>
void int8_strip(const Int8Strip<Out>& strip) {
  const Int8Strip<Out> s = strip;  // a copy, which no store can change
  Requantization requantization = s.requantization;
  if (s.residual_floats) requantization.is_small = false;
  const void* const* rows = s.rows;
  for (int64_t tile = 0; tile < s.tiles; tile++, rows += Rows) {
    Ints sums[Rows][Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
      const Ints start = load_ints(s.start + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++) sums[r][v] = start;
    }
    const ByteStep::Weight* weights = s.weights;
    for (int64_t tap = 0; tap < s.taps; tap++) {
      const ByteStep::Value* row[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++)
        row[r] = static_cast<const ByteStep::Value*>(rows[tap * s.row_count + r]) + s.offset;
      for (int64_t k = 0; k < s.depth; k += ByteStep::kValues, weights += Vectors * kStepWeights) {
        ByteStep::Weights w[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) w[v] = ByteStep::weights(weights + v * kStepWeights);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; r++) {
          const Bytes x = ByteStep::factor(all_bytes(row[r] + k));
#pragma GCC unroll 4
          for (int v = 0; v < Vectors; v++) sums[r][v] = ByteStep::add(sums[r][v], x, w[v]);
        }
      }
    }
    const int64_t first = tile * Rows * s.stride;
    Vector values[Rows * Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
      const Vector scale = load(requantization.scale + v * kLanes), bias = load(requantization.bias + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++) values[r * Vectors + v] = fma(to_float(sums[r][v]), scale, bias);
    }
    auto each = [&](auto&& change) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++)
          change(values[r * Vectors + v], first + r * s.stride + v * kLanes, s.columns - v * kLanes);
    };
    if (s.residual_bytes) {
      const Vector scale = all(requantization.residual_scale);
      each([&](Vector& y, int64_t offset, int64_t) { y = fma(widen(s.residual_bytes + offset), scale, y); });
    } else if (s.residual_floats) {
      const Vector scale = all(requantization.residual_scale);
      each([&](Vector& y, int64_t offset, int64_t columns) {
        y = fma(load(s.residual_floats + offset, columns), scale, y);
      });
    }
    finish<Out, Rows * Vectors>(values, requantization);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; r++)
      put<Vectors>(s.out + first + r * s.stride, values + r * Vectors, s.columns, requantization);
  }
}

template <class Out>
struct Int8Strips {
  void (*strip[kMaxVectors + 1][kMaxRows + 1])(const Int8Strip<Out>&) = {};

  template <int Vectors, int Rows>
  constexpr void fill() {
    if constexpr (Rows > 0) {
      strip[Vectors][Rows] = int8_strip<Out, Rows, Vectors>;
      fill<Vectors, Rows - 1>();
    } else if constexpr (Vectors > 1) {
      fill<Vectors - 1, kRows[Vectors - 1]>();
    }
  }
  constexpr Int8Strips() { fill<kMaxVectors, kRows[kMaxVectors]>(); }
};
template <class Out>
constexpr Int8Strips<Out> kInt8Strips;

template <class Out>
void int8_gemm(const Int8Gemm<Out>& p) {
  const int64_t vectors = p.panels.width / kLanes;
  // Tiles of similar height, as in indirect_gemm().
  const int64_t tiles = (p.count + kRows[vectors] - 1) / kRows[vectors];
  const int64_t least_rows = p.count / (tiles > 0 ? tiles : 1), high = p.count - tiles * least_rows;
  for (int64_t panel = p.first; panel < p.last; panel++) {
    const int64_t column = panel * p.panels.width;
    Requantization requantization = p.requantization;
    requantization.scale += column;
    requantization.bias += column;
    auto multiply_tiles = [&](int64_t first, int64_t count, int64_t rows) {
      if (count == 0) return;
      const int64_t m = first * (least_rows + 1), offset = m * p.stride + column;
      kInt8Strips<Out>.strip[vectors][rows]({
          .tiles = count,
          .rows = p.rows + m,
          .row_count = p.count,
          .taps = p.taps,
          .offset = p.offset,
          .depth = p.depth,
          .weights = static_cast<const ByteStep::Weight*>(p.weights) + panel * p.panels.stride(),
          .start = p.start + column,
          .out = p.out + offset,
          .stride = p.stride,
          .columns = p.panels.columns - column,
          .residual_bytes = p.residual_bytes ? p.residual_bytes + offset : nullptr,
          .residual_floats = p.residual_floats ? p.residual_floats + offset : nullptr,
          .requantization = requantization,
      });
    };
    multiply_tiles(0, high, least_rows + 1);
    multiply_tiles(high, tiles - high, least_rows);
  }
}

}  // namespace

}  // namespace visiontorch::kernels
