#pragma once

// A vector of float32 values, as wide as the instruction set allows, and plain functions on it: `load`, `store`, `fma`
// and so on. This header and those of the kernels are compiled once for each instruction set. So everything in them is
// in an unnamed namespace, and they do not use the standard library: otherwise the linker might keep an inline function
// that was compiled for AVX-512 and use it everywhere.

#if defined(__AVX512F__)
#include "kernels/simd/avx512.h"
#elif defined(__AVX2__)
#include "kernels/simd/avx2.h"
#elif defined(__ARM_NEON)
#include "kernels/simd/neon.h"
#endif

namespace visiontorch::kernels {

namespace {

// Loads values and prefetches those that will be read soon. Without this, AMD's Zen 5 waits twice as long for memory,
// even if it reads in order.
constexpr int64_t kAhead = 128;  // values; for loops that spend little time on each
template <class T>
inline Vector load_and_fetch(const T* p, int64_t count, int64_t ahead = kAhead) {
  __builtin_prefetch(p + ahead, 0, 3);
  return load(p, count);
}

template <int step = kLanes / 2>
inline void transpose(Vector rows[kLanes]) {
#pragma GCC unroll 16
  for (int row = 0; row < kLanes; row++)
    if (!(row & step)) exchange<step>(rows[row], rows[row + step]);
  if constexpr (step > 1) transpose<step / 2>(rows);
}

template <int count>
inline Vector total(const Vector* x) {
  if constexpr (count == 1)
    return x[0];
  else
    return total<count / 2>(x) + total<count - count / 2>(x + count / 2);
}

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Calls work(c, count) for each vector of channels, the last of which may have fewer channels than lanes.
template <class Work>
inline void each_vector(int64_t channels, const Work& work) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) work(c, int64_t(kLanes));
  if (c < channels) work(c, channels - c);
}

}  // namespace

}  // namespace visiontorch::kernels
