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

}  // namespace visiontorch::kernels
