#pragma once

#include <immintrin.h>

#include "kernels/types.h"

namespace visiontorch::kernels {

namespace {

using Vector = __m256;
constexpr int kLanes = 8;
inline Vector load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vector x) { _mm256_storeu_ps(p, x); }
inline Vector all(float x) { return _mm256_set1_ps(x); }
inline Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector smaller(Vector a, Vector b) { return _mm256_min_ps(a, b); }
inline Vector larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline float sum_of(Vector x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest_of(Vector x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline void stream(float* p, Vector x) { _mm256_stream_ps(p, x); }
inline void end_of_stream() { _mm_sfence(); }
using Bits = std::uint8_t;  // one bit per value
inline Bits between(Vector low, Vector x, Vector high) {
  return _mm256_movemask_ps(_mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GT_OQ), _mm256_cmp_ps(x, high, _CMP_LT_OQ)));
}
inline Vector where(Bits bits, Vector x) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), bit), bit);
  return _mm256_and_ps(_mm256_castsi256_ps(set), x);
}

// Loads only the first `count` values; the others are zeros.
inline __m256i first(int64_t count) {
  const int most = static_cast<int>(count < kLanes ? count : kLanes);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(most), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vector load(const float* p, int64_t count) {
  return count >= kLanes ? load(p) : _mm256_maskload_ps(p, first(count));
}
inline void store(float* p, Vector x, int64_t count) {
  count >= kLanes ? store(p, x) : _mm256_maskstore_ps(p, first(count), x);
}

inline Vector reciprocal(Vector x) {
  const Vector y = _mm256_rcp_ps(x);
  return y * fma(all(0) - x, y, all(2));  // a step of Newton's method
}
inline Vector fraction(Vector x) { return x - _mm256_floor_ps(x); }
// y * 2^floor(x)
inline Vector scale_by_power(Vector y, Vector x) {
  const __m256i power = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_floor_ps(x)), _mm256_set1_epi32(127));
  return y * _mm256_castsi256_ps(_mm256_slli_epi32(power, 23));
}

// Exchanges the lanes of a whose index has the bit `step` with the lanes of b whose index lacks it.
template <int step>
inline void exchange(Vector& a, Vector& b) {
  typedef int Lanes __attribute__((vector_size(sizeof(Vector))));
  Lanes lower, upper;  // indices into a followed by b
#pragma GCC unroll 16
  for (int lane = 0; lane < kLanes; lane++) {
    lower[lane] = lane & step ? kLanes + lane - step : lane;
    upper[lane] = lane & step ? kLanes + lane : lane + step;
  }
  const Vector a_lower = __builtin_shuffle(a, b, lower);
  b = __builtin_shuffle(a, b, upper);
  a = a_lower;
}

}  // namespace

}  // namespace visiontorch::kernels
