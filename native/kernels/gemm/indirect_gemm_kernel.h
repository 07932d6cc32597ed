#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// The matrix product, in tiles of Rows x Vectors sums that stay in registers.

// Several tiles of the same height, one below the other.
template <class In, class Out>
struct Strip {
  int64_t tiles;
  const In* const* rows;
  int64_t row_count, taps, offset, depth;  // of each tap: the values from `offset` on
  const In *weights, *next;                // next: weights that the first `fetched` tiles prefetch
  int64_t fetched;
  const float* bias;
  Out* out;
  int64_t stride, columns;  // columns: those of the output that are left
  const int64_t* offsets;   // if not null, used instead of r * stride
  const Out* residual;
  Activation activation;
};

constexpr int kTilesAhead = 2;  // how far ahead rows are prefetched
template <class In, class Out, int Rows, int Vectors>
void gemm_strip(const Strip<In, Out>& strip) {
  using Step = Step<In>;
  constexpr int kValues = Step::kValues;
  const Strip<In, Out> s = strip;  // a copy, so that the compiler knows that no store changes it
  const In *const *rows = s.rows, *fetching = s.next;
  const Out* residual = s.residual;
  const int64_t* offsets = s.offsets;
  Out* out = s.out;
  for (int64_t tile = 0; tile < s.tiles; tile++) {
    Vector sums[Rows][Vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; v++) sums[r][v] = s.bias ? load(s.bias + v * kLanes) : all(0);
    if (residual) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v += kLine<Out> / kLanes)
          __builtin_prefetch(residual + (offsets ? offsets[r] : r * s.stride) + v * kLanes, 1, 3);
    }
    const bool fetches_weights = tile < s.fetched;
    const In *weights = s.weights, *next = fetching;
    const int64_t step = (fetches_weights ? kLanes : Rows) * kValues;
    for (int64_t tap = 0; tap < s.taps; tap++) {
      const In* row[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++) row[r] = rows[tap * s.row_count + r] + s.offset;
      if (!fetches_weights)
        next = rows[tap * s.row_count + (tile + kTilesAhead < s.tiles ? kTilesAhead * Rows : 0)] + s.offset;
      for (int64_t k = 0; k < s.depth; k += kValues, weights += Vectors * kLanes * kValues) {
        typename Step::Weights w[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) w[v] = Step::weights(weights + v * kLanes * kValues);
        __builtin_prefetch(next, 0, 2);
        next += step;
#pragma GCC unroll 16
        for (int r = 0; r < Rows; r++) {
          const auto x = Step::factor(row[r] + k);
#pragma GCC unroll 4
          for (int v = 0; v < Vectors; v++) sums[r][v] = Step::add(sums[r][v], x, w[v]);
        }
      }
    }
    if (fetches_weights) fetching = next;
    auto each = [&](auto&& change) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++)
          change(sums[r][v], (offsets ? offsets[r] : r * s.stride) + v * kLanes, s.columns - v * kLanes);
    };
    if (residual) each([&](Vector& y, int64_t offset, int64_t columns) { y += load(residual + offset, columns); });
    if (s.activation == Activation::ReLU || s.activation == Activation::ReLU6)
      each([&](Vector& y, int64_t, int64_t) { y = larger(all(0), y); });
    if (s.activation == Activation::ReLU6) each([&](Vector& y, int64_t, int64_t) { y = smaller(all(6), y); });
    if (s.activation == Activation::Hardswish) {
      each([&](Vector& y, int64_t, int64_t) { y = hardswish(y); });
    } else if (!clamps(s.activation)) {
      Vector copy[Rows * Vectors];  // in memory, so that the sums can stay in registers
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) copy[r * Vectors + v] = sums[r][v];
      activate(copy, Rows * Vectors, s.activation);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) sums[r][v] = copy[r * Vectors + v];
    }
    if (s.columns >= Vectors * kLanes) {
      each([&](Vector& y, int64_t offset, int64_t) { store(out + offset, y); });
    } else {
      each([&](Vector& y, int64_t offset, int64_t columns) { store(out + offset, y, columns); });
    }
    rows += Rows;
    if (offsets) {
      offsets += Rows;
    } else {
      out += Rows * s.stride;
      if (residual) residual += Rows * s.stride;
    }
  }
}

template <class In, class Out>
using GemmStrip = void (*)(const Strip<In, Out>&);

template <class In, class Out>
struct Strips {
  GemmStrip<In, Out> strip[kMaxVectors + 1][kMaxRows + 1] = {};

  template <int Vectors, int Rows>
  constexpr void fill() {
    if constexpr (Rows > 0) {
      strip[Vectors][Rows] = gemm_strip<In, Out, Rows, Vectors>;
      fill<Vectors, Rows - 1>();
    } else if constexpr (Vectors > 1) {
      fill<Vectors - 1, kRows[Vectors - 1]>();
    }
  }
  constexpr Strips() { fill<kMaxVectors, kRows[kMaxVectors]>(); }
};
template <class In, class Out>
constexpr Strips<In, Out> kStrips;

// The part of a panel that stays in the second-level cache while it is multiplied by all rows. Sums of bfloat16 are not
// rounded in between.
template <class In>
constexpr int64_t kChunk = 1024;
template <>
constexpr int64_t kChunk<BFloat16> = INT64_MAX;

template <class In, class Out>
void indirect_gemm(const IndirectGemm<In, Out>& p) {
  const int64_t vectors = p.panels.width / kLanes;
  // Makes tiles of similar height, because a last tile with few rows would take as long as a full one.
  const int64_t tiles = (p.count + kRows[vectors] - 1) / kRows[vectors];
  const int64_t least_rows = p.count / (tiles > 0 ? tiles : 1), high = p.count - tiles * least_rows;
  const int64_t taps = p.taps > 1 ? (kChunk<In> > p.depth ? kChunk<In> / p.depth : 1) : 1;  // per chunk
  const int64_t depth = p.taps > 1 ? p.depth : least(p.depth, kChunk<In>);
  for (int64_t panel = p.first; panel < p.last; panel++) {
    const int64_t column = panel * p.panels.width;
    const In* weights = p.weights + panel * p.panels.stride();
    for (int64_t tap = 0; tap < p.taps; tap += least(taps, p.taps))
      for (int64_t k = 0; k < p.depth; k += depth) {
        const bool is_first = tap == 0 && k == 0, is_last = taps >= p.taps - tap && k + depth >= p.depth;
        const Out* added = is_first ? p.epilogue.residual : p.out;
        const In* chunk = weights + (tap * p.depth + k) * p.panels.width;
        const int64_t steps = least(taps, p.taps - tap) * least(depth, p.depth - k);
        // Multiplies `count` tiles, starting with this one. Each of the first tiles prefetches a part of the next
        // chunk.
        auto multiply_tiles = [&](int64_t first, int64_t count, int64_t rows) {
          if (count == 0) return;
          const int64_t m = first * (least_rows + 1), offset = (p.offsets ? 0 : m * p.stride) + column;
          kStrips<In, Out>.strip[vectors][rows]({
              .tiles = count,
              .rows = p.rows + tap * p.count + m,
              .row_count = p.count,
              .taps = least(taps, p.taps - tap),
              .offset = p.offset + k,
              .depth = least(depth, p.depth - k),
              .weights = chunk,
              .next = chunk + steps * (p.panels.width + first * kLanes),
              .fetched = vectors - first,
              .bias = p.bias && is_first ? p.bias + column : nullptr,
              .out = p.out + offset,
              .stride = p.stride,
              .columns = p.panels.columns - column,
              .offsets = p.offsets ? p.offsets + m : nullptr,
              .residual = added ? added + offset : nullptr,
              .activation = is_last ? p.epilogue.activation : Activation::None,
          });
        };
        multiply_tiles(0, high, least_rows + 1);
        multiply_tiles(high, tiles - high, least_rows);
      }
  }
}

template <class T>
void combine(const Combination<T>& p) {
  for (int64_t i = 0; i < p.rows; i++)
    for (int64_t c = 0; c < p.channels; c += kLanes) {
      const int64_t offset = i * p.channels + c, count = p.channels - c;
      Vector sum = load(p.bias + c, count);
      for (int64_t group = 0; group < p.groups; group++)
        sum += load(p.parts + group * p.rows * p.channels + offset, count);
      if (p.residual) sum += load(p.residual + offset, count);
      store(p.out + offset, activate(sum, p.activation), count);
    }
}

}  // namespace

}  // namespace visiontorch::kernels
