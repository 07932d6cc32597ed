#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "image/resample_rows.h"

#define AVX2 __attribute__((target("avx2")))

namespace visiontorch::image {

namespace {

// The sums of low and high parts, to bytes. The shift may overflow on the way; the sum of a weight's two parts never
// does, and integers wrap around.
AVX2 inline __m128i to_words(__m128i low, __m128i high) {
  const __m128i sum =
      _mm_add_epi32(_mm_add_epi32(low, _mm_slli_epi32(high, Weights::kLowBits)), _mm_set1_epi32(Weights::kHalf));
  return _mm_srai_epi32(sum, Weights::kPrecision);
}

AVX2 void horizontal_row(const std::uint8_t* in, std::uint8_t* out, const Weights& weights) {
  // Four pixels of three bytes: the words r0 r1 g0 g1 b0 b1 0 0 in the lower half, those of pixels 2 and 3 in the
  // upper.
  const __m256i spread = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                          6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i low_pairs = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i high_pairs = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  for (int x = 0; x < weights.count(); x++, out += 3) {
    const std::uint8_t* pixels = in + weights.first(x) * 3;
    const std::int16_t* split = weights.split(x);
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int group = weights.groups(x); group > 0; group--, pixels += 12, split += 8) {
      const __m128i loaded = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels));
      const __m256i words = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(loaded), spread);
      const __m256i factors = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(split)));
      low = _mm256_add_epi32(low, _mm256_madd_epi16(words, _mm256_permutevar8x32_epi32(factors, low_pairs)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(words, _mm256_permutevar8x32_epi32(factors, high_pairs)));
    }
    const __m128i sums = to_words(_mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)),
                                  _mm_add_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
    const __m128i words = _mm_packs_epi32(sums, sums);
    const std::int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    std::memcpy(out, &bytes, 3);
  }
}

AVX2 void horizontal(const std::uint8_t* in, std::size_t readable, std::uint8_t* out, const Weights& weights) {
  // Whole groups are loaded, 16 bytes for each 12, and so bytes behind the last pixel; their weights are zero.
  const std::size_t needed = std::size_t(weights.reach()) * 3 + 4;
  if (needed <= readable) return horizontal_row(in, out, weights);
  std::vector<std::uint8_t> padded(needed);
  std::memcpy(padded.data(), in, std::min(std::size_t(weights.end()) * 3, readable));
  horizontal_row(padded.data(), out, weights);
}

AVX2 void vertical(const std::uint8_t* in, std::size_t stride, std::uint8_t* out, int bytes, const Weights& weights,
                   int i) {
  const int taps = weights.taps(i);
  int done = 0;
  for (; done + 16 <= bytes; done += 16) {
    __m256i low[2] = {}, high[2] = {};
    for (int k = 0; k < taps; k += 2) {
      // Pairs of rows; without a partner, the last row is its own, with a weight of zero.
      const std::uint8_t* upper = in + k * stride + done;
      const std::uint8_t* lower = k + 1 < taps ? upper + stride : upper;
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(upper));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lower));
      const std::int16_t* split = weights.split(i) + k / Weights::kGroup * Weights::kGroup * 2 + k % Weights::kGroup;
      std::int32_t low_pair, high_pair;
      std::memcpy(&low_pair, split, 4);
      std::memcpy(&high_pair, split + Weights::kGroup, 4);
      const __m256i pairs[2] = {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)),
                                _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b))};
      for (int half = 0; half < 2; half++) {
        low[half] = _mm256_add_epi32(low[half], _mm256_madd_epi16(pairs[half], _mm256_set1_epi32(low_pair)));
        high[half] = _mm256_add_epi32(high[half], _mm256_madd_epi16(pairs[half], _mm256_set1_epi32(high_pair)));
      }
    }
    __m128i words[4];
    for (int half = 0; half < 2; half++) {
      words[half * 2] = to_words(_mm256_castsi256_si128(low[half]), _mm256_castsi256_si128(high[half]));
      words[half * 2 + 1] = to_words(_mm256_extracti128_si256(low[half], 1), _mm256_extracti128_si256(high[half], 1));
    }
    const __m128i result = _mm_packus_epi16(_mm_packs_epi32(words[0], words[1]), _mm_packs_epi32(words[2], words[3]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + done), result);
  }
  if (done < bytes) kPortableRows.vertical(in + done, stride, out + done, bytes - done, weights, i);
}

}  // namespace

const ResampleRows kAvx2Rows = {horizontal, vertical};

}  // namespace visiontorch::image

#endif
