#pragma once

#include <type_traits>

#include "kernels/attention/attention.h"
#include "kernels/gemm/indirect_gemm_kernel.h"
#include "kernels/gemm/transpose_kernel.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// The number of queries at a time, whose scores stay in the second-level cache.
constexpr int64_t kQueries = 96;

// Of a weight, relative to the largest. Far below float32's precision, and far above the denormal numbers, which would
// take a hundred times as long to multiply.
constexpr float kLeastExponent = -60;

// The panel width that wastes the least, and the widest of these.
inline Panels attention_panels(int64_t rows, int64_t columns) {
  int64_t best = 1, padded = INT64_MAX;
  for (int64_t vectors = kMaxVectors; vectors > 1; vectors--) {
    const int64_t width = vectors * kLanes, all = (columns + width - 1) / width * width;
    if (all >= padded) continue;
    best = vectors;
    padded = all;
  }
  return {rows, padded, best * kLanes, padded / (best * kLanes)};
}

// The offsets of the parts of the scratch memory, in floats.
struct AttentionScratch {
  Panels keys, values;
  int64_t scores, weights, pointers, total;

  AttentionScratch(int64_t count, int64_t depth) {
    const int64_t even = (count + 1) / 2 * 2, pointer = sizeof(void*) / sizeof(float);
    keys = attention_panels(depth, count);
    values = attention_panels(even, depth);
    values.columns = depth;
    const int64_t rows = least(kQueries, count);
    int64_t next = (keys.rows * keys.padded_columns() + kLanes) / kLanes * kLanes;
    const auto reserve = [&](int64_t size) {
      const int64_t begin = next;
      next += (size + kLanes) / kLanes * kLanes;
      return begin;
    };
    value_panels = reserve(values.rows * values.padded_columns());
    scores = reserve(rows * keys.padded_columns());
    weights = reserve(rows * even);
    normal_queries = reserve(count * depth);
    pointers = reserve(2 * count * pointer);
    total = next;
  }
  int64_t value_panels, normal_queries;
};

int64_t attention_scratch(int64_t count, int64_t depth) { return AttentionScratch(count, depth).total; }

// Transposes rows that may be anywhere in memory, in units of 32 bits: to[column, row] = from[row][column]. Surplus
// columns of the panels become zeros.
inline void pack_keys(const float* const* keys, const Panels& panels, int64_t count, int64_t depth, float* to) {
  for (int64_t panel = 0; panel < panels.count; panel++, to += depth * panels.width)
    for (int64_t c = 0; c < panels.width; c += kLanes) {
      const int64_t first = panel * panels.width + c;
      for (int64_t k = 0; k < depth; k += kLanes) {
        Vector rows[kLanes];
        for (int64_t i = 0; i < kLanes; i++)
          rows[i] = first + i < count ? load(keys[first + i] + k, depth - k) : all(0);
        transpose(rows);
        for (int64_t i = 0; i < least(kLanes, depth - k); i++) store(to + (k + i) * panels.width + c, rows[i]);
      }
    }
}

inline void pack_values(const float* const* values, const Panels& panels, int64_t count, float* to) {
  for (int64_t panel = 0; panel < panels.count; panel++)
    for (int64_t row = 0; row < panels.rows; row++, to += panels.width)
      for (int64_t c = 0; c < panels.width; c += kLanes) {
        const int64_t column = panel * panels.width + c;
        store(to + c, row < count ? load(values[row] + column, panels.columns - column) : all(0));
      }
}

#if defined(VISIONTORCH_BFLOAT16_KERNELS)
inline void pack_values(const BFloat16* const* values, const Panels& panels, int64_t count, BFloat16* to) {
  for (int64_t panel = 0; panel < panels.count; panel++)
    for (int64_t row = 0; row < panels.rows; row += 2)
      for (int64_t c = 0; c < panels.width; c += kLanes, to += 2 * kLanes) {
        const int64_t column = panel * panels.width + c;
        const auto from = [&](int64_t r) { return r < count ? values[r] + column : nullptr; };
        store_pairs(to, pair_rows(from(row), from(row + 1), panels.columns - column));
      }
}
#endif

// to = x / |x| * factor
template <class T>
inline void normalize(const T* x, int64_t depth, float factor, T* to) {
  Vector sum = all(0);
  each_vector(depth, [&](int64_t k, int64_t count) {
    const Vector value = load(x + k, count);
    sum = fma(value, value, sum);
  });
  const float length = __builtin_sqrtf(sum_of(sum));
  const Vector scale = all(factor / (length > 1e-12F ? length : 1e-12F));
  each_vector(depth, [&](int64_t k, int64_t count) { store(to + k, load(x + k, count) * scale, count); });
}

// Turns a query's scores into weights: softmax(scale * scores + bias + mask), padded with zeros to an even count.
template <class T>
inline void soft_max(float* scores, int64_t count, float scale, const float* bias, const float* mask, T* weights) {
  const Vector factor = all(scale), lowest = all(-__builtin_inff());
  Vector most = lowest;
  each_vector(count, [&](int64_t j, int64_t rest) {
    Vector x = load(scores + j) * factor;
    if (bias) x += load(bias + j, rest);
    if (mask) x += load(mask + j, rest);
    store(scores + j, x);
    if (rest == kLanes) {
      most = larger(most, x);
    } else {
      float values[kLanes];
      store(values, x);
      for (int64_t i = 0; i < rest; i++) most = larger(most, all(values[i]));
    }
  });
  const Vector largest = all(largest_of(most));
  Vector sum = all(0);
  each_vector(count, [&](int64_t j, int64_t rest) {
    store(scores + j, exponential(clamp(load(scores + j) - largest, kLeastExponent, 0)), rest);
    sum += load(scores + j, rest);
  });
  const Vector share = all(1 / sum_of(sum));
  each_vector(count, [&](int64_t j, int64_t rest) { store(weights + j, load(scores + j, rest) * share, rest); });
  if (count % 2 != 0) weights[count] = T{};
}

template <class T>
void attention(const Attention<T>& p, float* scratch) {
  const AttentionScratch s(p.count, p.depth);
  auto** rows = reinterpret_cast<const T**>(scratch + s.pointers);
  auto* keys = reinterpret_cast<T*>(scratch);
  auto* values = reinterpret_cast<T*>(scratch + s.value_panels);
  auto* queries = reinterpret_cast<T*>(scratch + s.normal_queries);
  auto* weights = reinterpret_cast<T*>(scratch + s.weights);
  float* scores = scratch + s.scores;
  const int64_t even = s.values.rows, padded = s.keys.padded_columns();

  // The keys, normalized or as they are. They share memory with the queries.
  for (int64_t i = 0; i < p.count; i++) {
    rows[i] = p.tokens[i] + p.keys;
    if (!p.cosine) continue;
    normalize(rows[i], p.depth, 1, queries + i * p.depth);
    rows[i] = queries + i * p.depth;
  }
  constexpr int64_t kPair = sizeof(float) / sizeof(T);
  pack_keys(reinterpret_cast<const float* const*>(rows), s.keys, p.count, p.depth / kPair,
            reinterpret_cast<float*>(keys));
  for (int64_t i = 0; i < p.count; i++) rows[i] = p.tokens[i] + p.values;
  pack_values(rows, s.values, p.count, values);
  for (int64_t i = 0; i < p.queries; i++) {
    rows[i] = p.tokens[i];
    if (!p.cosine) continue;
    normalize(rows[i], p.depth, 1, queries + i * p.depth);
    rows[i] = queries + i * p.depth;
  }

  const T** weight_rows = rows + p.count;
  for (int64_t begin = 0; begin < p.queries; begin += kQueries) {
    const int64_t count = least(kQueries, p.queries - begin);
    indirect_gemm<T, float>({.rows = rows + begin,
                             .count = count,
                             .taps = 1,
                             .depth = p.depth,
                             .panels = s.keys,
                             .weights = keys,
                             .bias = nullptr,
                             .first = 0,
                             .last = s.keys.count,
                             .out = scores,
                             .stride = padded,
                             .epilogue = {}});
    for (int64_t i = 0; i < count; i++) {
      const int64_t row = (begin + i) * p.count;
      soft_max(scores + i * padded, p.count, p.scale, p.bias ? p.bias + row : nullptr, p.mask ? p.mask + row : nullptr,
               weights + i * even);
      weight_rows[i] = weights + i * even;
    }
    indirect_gemm<T, T>({.rows = weight_rows,
                         .count = count,
                         .taps = 1,
                         .depth = even,
                         .panels = s.values,
                         .weights = values,
                         .bias = nullptr,
                         .first = 0,
                         .last = s.values.count,
                         .out = p.out,
                         .stride = 0,
                         .epilogue = {},
                         .offsets = p.offsets + begin});
  }
}

}  // namespace

}  // namespace visiontorch::kernels
