#pragma once

// A vector of float32 values, as wide as the instruction set has them. This header, and those of the kernels, are
// compiled once for each instruction set: everything in them lies in an unnamed namespace, and nothing of the standard
// library is used. An inline function compiled for AVX-512 might be the one that the linker keeps for everybody.

#include <immintrin.h>

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

namespace {

using std::int64_t;

#if defined(__AVX512F__)
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
using Bits = __mmask16;  // one for each value
inline Bits between(Vector low, Vector x, Vector high) {
  return _mm512_cmp_ps_mask(x, low, _CMP_GT_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LT_OQ);
}
inline Vector where(Bits bits, Vector x) { return _mm512_maskz_mov_ps(bits, x); }
#else
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
using Bits = std::uint8_t;  // one for each value
inline Bits between(Vector low, Vector x, Vector high) {
  return _mm256_movemask_ps(_mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GT_OQ), _mm256_cmp_ps(x, high, _CMP_LT_OQ)));
}
inline Vector where(Bits bits, Vector x) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), bit), bit);
  return _mm256_and_ps(_mm256_castsi256_ps(set), x);
}
#endif

// The first `count` values only; the others are zeros.
#if defined(__AVX512F__)
inline __mmask16 first(int64_t count) { return count >= kLanes ? 0xFFFF : (1U << (count > 0 ? count : 0)) - 1; }
inline Vector load(const float* p, int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
inline void store(float* p, Vector x, int64_t count) { _mm512_mask_storeu_ps(p, first(count), x); }
#else
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
#endif

#if defined(__AVX512BF16__)
inline Vector widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
inline __m256i narrow(Vector x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)); }

inline Vector load(const BFloat16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void store(BFloat16* p, Vector x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }
inline void stream(BFloat16* p, Vector x) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), narrow(x)); }
inline Vector load(const BFloat16* p, int64_t count) { return widen(_mm256_maskz_loadu_epi16(first(count), p)); }
inline void store(BFloat16* p, Vector x, int64_t count) { _mm256_mask_storeu_epi16(p, first(count), narrow(x)); }
#endif

// Loads, and prefetches what will be read soon. Without this, AMD's Zen 5 waits twice as long for the memory, even when
// it reads values in order.
constexpr int64_t kAhead = 128;  // values, for loops that spend little time on each
template <class T>
inline Vector load_and_fetch(const T* p, int64_t count, int64_t ahead = kAhead) {
  __builtin_prefetch(p + ahead, 0, 3);
  return load(p, count);
}

// Exchanges a's lanes with the bit `step` for b's without it.
template <int step>
inline void exchange(Vector& a, Vector& b) {
  typedef int Lanes __attribute__((vector_size(sizeof(Vector))));
  Lanes lower, upper;  // of a and b, one behind the other
#pragma GCC unroll 16
  for (int lane = 0; lane < kLanes; lane++) {
    lower[lane] = lane & step ? kLanes + lane - step : lane;
    upper[lane] = lane & step ? kLanes + lane : lane + step;
  }
  const Vector a_lower = __builtin_shuffle(a, b, lower);
  b = __builtin_shuffle(a, b, upper);
  a = a_lower;
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

// work(c, count) for the vectors of channels, the last of which may hold fewer than lanes.
template <class Work>
inline void each_vector(int64_t channels, const Work& work) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) work(c, int64_t(kLanes));
  if (c < channels) work(c, channels - c);
}

}  // namespace

}  // namespace visiontorch::kernels
