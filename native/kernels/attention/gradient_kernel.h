#pragma once

#include "kernels/attention/attention_kernel.h"
#include "kernels/gemm/gemm_tn_kernel.h"

namespace visiontorch::kernels {

namespace {

// The offsets of the parts of the scratch memory, in floats.
struct AttentionGradientScratch {
  Panels by_token, by_depth;  // of keys and values, and of keys
  int64_t keys, values, key_rows, scores, weights, changes, key_gradients, value_gradients, product, pointers,
      total = 0;

  AttentionGradientScratch(int64_t count, int64_t depth)
      : by_token(attention_panels(depth, count)), by_depth(attention_panels(count, depth)) {
    by_depth.columns = depth;
    const int64_t rows = least(kQueries, count), pointer = sizeof(void*) / sizeof(float);
    const auto reserve = [&](int64_t size) {
      const int64_t begin = total;
      total += (size + kLanes) / kLanes * kLanes;
      return begin;
    };
    pointers = reserve(3 * count * pointer);
    keys = reserve(depth * by_token.padded_columns());
    values = reserve(depth * by_token.padded_columns());
    key_rows = reserve(count * by_depth.padded_columns());
    scores = reserve(rows * by_token.padded_columns());
    weights = reserve(rows * (count + 1));
    changes = reserve(rows * by_token.padded_columns());
    key_gradients = reserve(count * depth);
    value_gradients = reserve(count * depth);
    product = reserve(gemm_tn_scratch(count, depth));
  }
};

int64_t attention_gradient_scratch(int64_t count, int64_t depth) {
  return AttentionGradientScratch(count, depth).total;
}

// Turns the gradient of a query's weights into that of its scores, and adds this to that of the bias. Multiplies it by
// `scale`, as it is needed for queries and keys. Weights far below float32's precision become zeros, because products
// with them would be denormal numbers.
inline void soft_max_gradient(float* weights, float* changes, int64_t count, float scale, float* bias_gradient) {
  Vector products = all(0);
  each_vector(count, [&](int64_t j, int64_t rest) {
    Vector weight = load(weights + j, rest);
    weight = where(between(all(1e-20F), weight, all(2)), weight);
    store(weights + j, weight, rest);
    products = fma(weight, load(changes + j, rest), products);
  });
  const Vector mean = all(sum_of(products)), factor = all(scale);
  each_vector(count, [&](int64_t j, int64_t rest) {
    const Vector change = load(weights + j, rest) * (load(changes + j, rest) - mean);
    if (bias_gradient) store(bias_gradient + j, load(bias_gradient + j, rest) + change, rest);
    store(changes + j, change * factor, rest);
  });
}

// With P = softmax(S), S = scale Q K^T + bias + mask and O = P V: dV = P^T dO, dP = dO V^T,
// dS = P (dP - the sum over keys of P dP), dQ = scale dS K, dK = scale dS^T Q.
void attention_gradient(const AttentionGradient& p, float* scratch) {
  const AttentionGradientScratch s(p.count, p.depth);
  auto** rows = reinterpret_cast<const float**>(scratch + s.pointers);
  const float **weight_rows = rows + p.count, **change_rows = rows + 2 * p.count;
  float *keys = scratch + s.keys, *values = scratch + s.values, *key_rows = scratch + s.key_rows,
        *scores = scratch + s.scores, *weights = scratch + s.weights, *changes = scratch + s.changes;
  const int64_t padded = s.by_token.padded_columns(), stride = p.count + 1;

  for (int64_t i = 0; i < p.count; i++) rows[i] = p.tokens[i] + p.keys;
  pack_keys(rows, s.by_token, p.count, p.depth, keys);
  pack_values(rows, s.by_depth, p.count, key_rows);
  for (int64_t i = 0; i < p.count; i++) rows[i] = p.tokens[i] + p.values;
  pack_keys(rows, s.by_token, p.count, p.depth, values);

  for (int64_t begin = 0; begin < p.queries; begin += kQueries) {
    const int64_t count = least(kQueries, p.queries - begin);
    const auto multiply = [&](const float* const* from, int64_t depth, const Panels& panels, const float* by, float* to,
                              int64_t to_stride, const int64_t* offsets) {
      indirect_gemm<float, float>({.rows = from,
                                   .count = count,
                                   .taps = 1,
                                   .depth = depth,
                                   .panels = panels,
                                   .weights = by,
                                   .bias = nullptr,
                                   .first = 0,
                                   .last = panels.count,
                                   .out = to,
                                   .stride = to_stride,
                                   .epilogue = {},
                                   .offsets = offsets});
    };
    const auto multiply_transposed = [&](const float* const* a, const float* const* b, float* to) {
      gemm_tn<float>({.a = a,
                      .b = b,
                      .count = count,
                      .rows = p.count,
                      .columns = p.depth,
                      .out = to,
                      .stride = p.depth,
                      .first = begin == 0},
                     scratch + s.product);
    };
    multiply(p.tokens + begin, p.depth, s.by_token, keys, scores, padded, nullptr);
    multiply(p.gradients + begin, p.depth, s.by_token, values, changes, padded, nullptr);
    for (int64_t i = 0; i < count; i++) {
      const int64_t row = (begin + i) * p.count;
      soft_max(scores + i * padded, p.count, p.scale, p.bias ? p.bias + row : nullptr, p.mask ? p.mask + row : nullptr,
               weights + i * stride);
      soft_max_gradient(weights + i * stride, changes + i * padded, p.count, p.scale,
                        p.bias_gradient ? p.bias_gradient + row : nullptr);
      weight_rows[i] = weights + i * stride;
      change_rows[i] = changes + i * padded;
    }
    multiply(change_rows, p.count, s.by_depth, key_rows, p.out, 0, p.offsets + begin);
    multiply_transposed(change_rows, p.tokens + begin, scratch + s.key_gradients);
    multiply_transposed(weight_rows, p.gradients + begin, scratch + s.value_gradients);
  }
  for (int64_t i = 0; i < p.count; i++) {
    float* out = p.out + p.offsets[i];
    each_vector(p.depth, [&](int64_t k, int64_t count) {
      store(out + p.keys + k, load(scratch + s.key_gradients + i * p.depth + k, count), count);
      store(out + p.values + k, load(scratch + s.value_gradients + i * p.depth + k, count), count);
    });
  }
}

}  // namespace

}  // namespace visiontorch::kernels
