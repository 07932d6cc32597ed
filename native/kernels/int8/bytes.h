#pragma once

#include "kernels/gemm/tile.h"
#include "kernels/int8/int8.h"
#include "kernels/simd/vector.h"

#if defined(__ARM_NEON)
#include "kernels/int8/bytes_neon.h"
#endif

namespace visiontorch::kernels {

namespace {

// Vectors of 32-bit integers and of bytes, and `ByteStep`: a few products of bytes, added to each sum.

#if defined(__x86_64__)

#if defined(__AVX512VNNI__)

// Not __m512i: GCC would store arrays of sums after every step.
using Ints = __v16si;
inline __m512i raw(Ints x) { return reinterpret_cast<__m512i>(x); }
inline Ints ints(__m512i x) { return reinterpret_cast<Ints>(x); }
using Bytes = __m512i;  // of which four make a sum
inline Ints load_ints(const std::int32_t* p) { return ints(_mm512_loadu_si512(p)); }
inline Vector to_float(Ints x) { return _mm512_cvtepi32_ps(raw(x)); }
inline Ints rounded(Vector x) { return ints(_mm512_cvtps_epi32(x)); }
inline Bytes load_bytes(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
inline void store_bytes(std::uint8_t* p, Bytes x) { _mm512_storeu_si512(p, x); }
inline Bytes largest(Bytes a, Bytes b) { return _mm512_max_epu8(a, b); }
inline Bytes smallest(Bytes a, Bytes b) { return _mm512_min_epu8(a, b); }

// `kLanes` bytes as floats.
inline Vector widen(const std::uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
// Stores only the first `count` bytes.
inline void store_bytes(std::uint8_t* p, Bytes x, int64_t count) {
  _mm512_mask_storeu_epi8(p, count >= 64 ? ~0ULL : (1ULL << (count > 0 ? count : 0)) - 1, x);
}
inline Ints add(Ints a, Ints b) { return a + b; }
inline Ints all_ints(int x) { return ints(_mm512_set1_epi32(x)); }
inline Bytes all_equal(std::uint8_t x) { return _mm512_set1_epi8(static_cast<char>(x)); }
inline Bytes low_bytes(Bytes a, Bytes b) { return _mm512_unpacklo_epi8(a, b); }
inline Bytes high_bytes(Bytes a, Bytes b) { return _mm512_unpackhi_epi8(a, b); }
inline Bytes low_pairs(Bytes a, Bytes b) { return _mm512_unpacklo_epi16(a, b); }
inline Bytes high_pairs(Bytes a, Bytes b) { return _mm512_unpackhi_epi16(a, b); }
inline Bytes saturate_words(Ints a, Ints b) { return _mm512_packs_epi32(raw(a), raw(b)); }
inline Bytes saturate_bytes(Bytes a, Bytes b) { return _mm512_packus_epi16(a, b); }
// Brings four vectors of the order of interleave() into the order of the channels: as bytes, and as floats.
inline Bytes in_order(Bytes x) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
}
inline void in_order(const Vector x[4], Vector to[4]) {
  const Vector low = _mm512_shuffle_f32x4(x[0], x[1], 0x44), low_rest = _mm512_shuffle_f32x4(x[2], x[3], 0x44);
  const Vector high = _mm512_shuffle_f32x4(x[0], x[1], 0xEE), high_rest = _mm512_shuffle_f32x4(x[2], x[3], 0xEE);
  to[0] = _mm512_shuffle_f32x4(low, low_rest, 0x88);
  to[1] = _mm512_shuffle_f32x4(low, low_rest, 0xDD);
  to[2] = _mm512_shuffle_f32x4(high, high_rest, 0x88);
  to[3] = _mm512_shuffle_f32x4(high, high_rest, 0xDD);
}
// Four bytes at p, repeated.
inline Bytes all_bytes(const void* p) {
  int four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm512_set1_epi32(four);
}

#else

using Ints = __v8si;
inline __m256i raw(Ints x) { return reinterpret_cast<__m256i>(x); }
inline Ints ints(__m256i x) { return reinterpret_cast<Ints>(x); }
using Bytes = __m256i;
inline Ints load_ints(const std::int32_t* p) { return ints(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline Vector to_float(Ints x) { return _mm256_cvtepi32_ps(raw(x)); }
inline Ints rounded(Vector x) { return ints(_mm256_cvtps_epi32(x)); }
inline Bytes load_bytes(const std::uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void store_bytes(std::uint8_t* p, Bytes x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
inline Bytes largest(Bytes a, Bytes b) { return _mm256_max_epu8(a, b); }
inline Bytes smallest(Bytes a, Bytes b) { return _mm256_min_epu8(a, b); }
inline Vector widen(const std::uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline void store_bytes(std::uint8_t* p, Bytes x, int64_t count) {
  if (count >= 32) return store_bytes(p, x);
  __m128i half = _mm256_castsi256_si128(x);
  if (count & 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
    half = _mm256_extracti128_si256(x, 1);
    p += 16;
  }
  if (count & 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), half);
    half = _mm_srli_si128(half, 8);
    p += 8;
  }
  const int64_t rest = _mm_cvtsi128_si64(half);
  __builtin_memcpy(p, &rest, static_cast<unsigned long>(count & 7));
}
inline Ints add(Ints a, Ints b) { return a + b; }
inline Ints all_ints(int x) { return ints(_mm256_set1_epi32(x)); }
inline Bytes all_equal(std::uint8_t x) { return _mm256_set1_epi8(static_cast<char>(x)); }
inline Bytes low_bytes(Bytes a, Bytes b) { return _mm256_unpacklo_epi8(a, b); }
inline Bytes high_bytes(Bytes a, Bytes b) { return _mm256_unpackhi_epi8(a, b); }
inline Bytes low_pairs(Bytes a, Bytes b) { return _mm256_unpacklo_epi16(a, b); }
inline Bytes high_pairs(Bytes a, Bytes b) { return _mm256_unpackhi_epi16(a, b); }
inline Bytes saturate_words(Ints a, Ints b) { return _mm256_packs_epi32(raw(a), raw(b)); }
inline Bytes saturate_bytes(Bytes a, Bytes b) { return _mm256_packus_epi16(a, b); }
inline Bytes in_order(Bytes x) { return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); }
inline void in_order(const Vector x[4], Vector to[4]) {
  to[0] = _mm256_permute2f128_ps(x[0], x[1], 0x20);
  to[1] = _mm256_permute2f128_ps(x[2], x[3], 0x20);
  to[2] = _mm256_permute2f128_ps(x[0], x[1], 0x31);
  to[3] = _mm256_permute2f128_ps(x[2], x[3], 0x31);
}
// Four bytes at p, repeated.
inline Bytes all_bytes(const void* p) {
  int four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm256_set1_epi32(four);
}

#endif

// to[i]: bytes (a, b, c, d) of the same channel next to each other, for a quarter of the channels.
inline void interleave(Bytes a, Bytes b, Bytes c, Bytes d, Bytes to[4]) {
  const Bytes ab = low_bytes(a, b), cd = low_bytes(c, d), ab_high = high_bytes(a, b), cd_high = high_bytes(c, d);
  to[0] = low_pairs(ab, cd);
  to[1] = high_pairs(ab, cd);
  to[2] = low_pairs(ab_high, cd_high);
  to[3] = high_pairs(ab_high, cd_high);
}
// Four vectors of integers, in the order of interleave(), as bytes; those below 0 become 0, and those above 255, 255.
inline Bytes narrow(const Ints x[4]) { return saturate_bytes(saturate_words(x[0], x[1]), saturate_words(x[2], x[3])); }

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

struct ByteStep {
  static constexpr int kValues = 4;
  using Value = std::uint8_t;
  using Weight = std::int8_t;
  using Weights = Bytes;
  static Weights weights(const Weight* p) { return load_bytes(reinterpret_cast<const std::uint8_t*>(p)); }
  static Bytes factor(Bytes x) { return x; }
  static Bytes of_step(Bytes x, int /*step*/) { return x; }
  static Ints add(Ints sum, Bytes x, Weights w) {
#if defined(__AVX512VNNI__)
    return ints(_mm512_dpbusd_epi32(raw(sum), x, w));
#else
    return ints(_mm256_dpbusd_avx_epi32(raw(sum), x, w));
#endif
  }
};

#else

// vpmaddubsw would saturate the sum of two products, so that bytes have been widened.
struct ByteStep {
  static constexpr int kValues = 2;
  using Value = std::uint16_t;
  using Weight = std::int16_t;
  using Weights = Bytes;
  static Weights weights(const Weight* p) { return load_bytes(reinterpret_cast<const std::uint8_t*>(p)); }
  static Bytes factor(Bytes x) { return x; }
  // Widens the bytes of each four that a step multiplies.
  static Bytes of_step(Bytes x, int step) {
    return step == 0 ? _mm256_and_si256(x, _mm256_set1_epi32(0x00FF00FF)) : _mm256_srli_epi16(x, 8);
  }
  static Ints add(Ints sum, Bytes x, Weights w) {
    sum = sum + ints(_mm256_madd_epi16(x, w));
    asm("" : "+x"(sum));  // GCC would add the products of several steps to each other first, and run out of registers
    return sum;
  }
};

#endif

#endif  // __x86_64__

// See Int8Kernels::shift.
#if defined(__ARM_NEON) && !defined(__ARM_FEATURE_MATMUL_INT8)
constexpr std::int32_t kByteShift = 128;
#else
constexpr std::int32_t kByteShift = 0;
#endif

constexpr int64_t kStepWeights = kLanes * ByteStep::kValues;  // of a vector

// Widens bytes for products of words.
void widen_bytes(const std::uint8_t* from, int64_t count, std::uint16_t* to) {
  for (int64_t i = 0; i < count; i++) to[i] = from[i];
}

void pack_bytes(const std::int8_t* weights, const Panels& panels, void* packed) {
  auto* to = static_cast<ByteStep::Weight*>(packed);
  for (int64_t panel = 0; panel < panels.count; panel++)
    for (int64_t k = 0; k < panels.rows; k += ByteStep::kValues)
      for (int64_t first = 0; first < panels.width; first += kLanes, to += kStepWeights)
        for (int64_t lane = 0; lane < kLanes; lane++) {
          const int64_t column = panel * panels.width + first + lane;
          for (int64_t i = 0; i < ByteStep::kValues; i++)
            to[lane * ByteStep::kValues + i] = column < panels.columns ? weights[column * panels.rows + k + i] : 0;
        }
}

}  // namespace

}  // namespace visiontorch::kernels
