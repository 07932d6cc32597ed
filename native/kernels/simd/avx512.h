#pragma once

#include <immintrin.h>

#include "kernels/types.h"

namespace visiontorch::kernels {

namespace {

using Vector = __m512;
constexpr int kLanes = 16;
inline Vector load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
inline Vector all(float x) { return _mm512_set1_ps(x); }
inline Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector smaller(Vector a, Vector b) { return _mm512_min_ps(a, b); }
inline Vector larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline float sum_of(Vector x) { return _mm512_reduce_add_ps(x); }
inline float largest_of(Vector x) { return _mm512_reduce_max_ps(x); }
inline void stream(float* p, Vector x) { _mm512_stream_ps(p, x); }
inline void end_of_stream() { _mm_sfence(); }
using Bits = __mmask16;  // one bit per value
inline Bits between(Vector low, Vector x, Vector high) {
  return _mm512_cmp_ps_mask(x, low, _CMP_GT_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LT_OQ);
}
inline Vector where(Bits bits, Vector x) { return _mm512_maskz_mov_ps(bits, x); }

// Loads only the first `count` values; the others are zeros.
inline __mmask16 first(int64_t count) { return count >= kLanes ? 0xFFFF : (1U << (count > 0 ? count : 0)) - 1; }
inline Vector load(const float* p, int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
inline void store(float* p, Vector x, int64_t count) { _mm512_mask_storeu_ps(p, first(count), x); }

inline Vector reciprocal(Vector x) {
  const Vector y = _mm512_rcp14_ps(x);
  return y * _mm512_fnmadd_ps(x, y, all(2));  // a step of Newton's method
}
inline Vector fraction(Vector x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
// y * 2^floor(x)
inline Vector scale_by_power(Vector y, Vector x) { return _mm512_scalef_ps(y, x); }

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

#if defined(__AVX512BF16__)
#define VISIONTORCH_BFLOAT16_KERNELS
inline Vector widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
inline __m256i narrow(Vector x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)); }

inline Vector load(const BFloat16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void store(BFloat16* p, Vector x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }
inline void stream(BFloat16* p, Vector x) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }
inline Vector load(const BFloat16* p, int64_t count) { return widen(_mm256_maskz_loadu_epi16(first(count), p)); }
inline void store(BFloat16* p, Vector x, int64_t count) { _mm256_mask_storeu_epi16(p, first(count), narrow(x)); }

// Pairs of bfloat16, one per lane.
using Pairs = __m512i;
inline Pairs load_pairs(const void* p) { return _mm512_loadu_si512(p); }
inline void store_pairs(void* p, Pairs x) { _mm512_storeu_si512(p, x); }
inline Pairs all_pairs(const BFloat16* p) {
  int pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return _mm512_set1_epi32(pair);
}
// sum + the dot product of each pair of pairs
inline Vector dot(Vector sum, Pairs a, Pairs b) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}
// Pairs of the first `count` values of two rows. A null row counts as zeros.
inline Pairs pair_rows(const BFloat16* a, const BFloat16* b, int64_t count) {
  const auto values = [&](const BFloat16* row) {
    return row ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(count), row)) : _mm512_setzero_si512();
  };
  return _mm512_or_si512(values(a), _mm512_slli_epi32(values(b), 16));
}
#endif

}  // namespace

}  // namespace visiontorch::kernels
