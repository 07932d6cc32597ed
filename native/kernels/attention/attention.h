#pragma once

#include <cstdint>

namespace visiontorch::kernels {

// One head's attention among `count` tokens, of which each has a query, a key and a value of `depth` values:
// out[i] = sum over j of softmax over j(scale * query[i] . key[j] + bias[i, j] + mask[i, j]) * value[j]
template <class T>
struct Attention {
  const T* const* tokens;     // [count] pointers to the queries
  std::int64_t keys, values;  // how far behind a query its key and value lie
  std::int64_t count, depth;  // in bfloat16 the depth is even
  float scale;
  bool cosine;               // queries and keys are divided by their lengths first
  const float *bias, *mask;  // [count, count], or null
  T* out;
  const std::int64_t* offsets;  // [count]: token i's result lies at out + offsets[i]
};

}  // namespace visiontorch::kernels
