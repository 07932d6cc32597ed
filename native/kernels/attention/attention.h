#pragma once

#include <cstdint>

namespace visiontorch::kernels {

// Computes one head's attention among `count` tokens, each with a query, a key and a value of `depth` numbers, for the
// first `queries` of them:
// out[i] = sum over j of softmax over j(scale * query[i] . key[j] + bias[i, j] + mask[i, j]) * value[j]
template <class T>
struct Attention {
  const T* const* tokens;              // [count] pointers to the queries
  std::int64_t keys, values;           // offsets from a query to its key and its value
  std::int64_t count, queries, depth;  // in bfloat16 the depth is even
  float scale;
  bool cosine;               // queries and keys are divided by their lengths first
  const float *bias, *mask;  // [queries, count], or null
  T* out;
  const std::int64_t* offsets;  // [queries]: the result of token i is at out + offsets[i]
};

// Computes the gradients of one head's queries, keys and values from those of its results, [queries] pointers. It
// computes the weights again instead of reading them.
struct AttentionGradient {
  const float* const* tokens;  // these first fields are those of Attention
  std::int64_t keys, values;
  std::int64_t count, queries, depth;
  float scale;
  const float *bias, *mask;
  const float* const* gradients;
  // The gradient of the query of token i is at out + offsets[i], and those of its key and its value `keys` and `values`
  // after it. Those of queries without a result are not written.
  float* out;
  const std::int64_t* offsets;
  float* bias_gradient;  // [queries, count], or null: the gradient of the scores is added to it
};

}  // namespace visiontorch::kernels
