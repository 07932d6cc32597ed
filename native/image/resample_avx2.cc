#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "image/resample_rows.h"

#define AVX2 __attribute__((target("avx2")))

namespace visiontorch::image {

namespace {

// Converts the sums of low and high parts to bytes. The shift may overflow, but integers wrap around and the sum of
// both parts always fits.
AVX2 inline __m256i to_words(__m256i low, __m256i high) {
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(low, _mm256_slli_epi32(high, Weights::kLowBits)),
                                       _mm256_set1_epi32(Weights::kHalf));
  return _mm256_srai_epi32(sum, Weights::kPrecision);
}

// Loads pixel `x` of two rows, one in each half: red, green, blue and a zero.
AVX2 inline __m256i pixel(const std::uint8_t* upper, const std::uint8_t* lower, const Weights& weights, int x) {
  // Makes the words r0 r1 g0 g1 b0 b1 0 0 from four pixels of three bytes, and the same of pixels 2 and 3.
  const __m256i spread[2] = {
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1)),
      _mm256_broadcastsi128_si256(_mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1))};
  const std::int16_t* split = weights.split(x);
  const std::ptrdiff_t begin = weights.first(x) * 3, end = begin + weights.groups(x) * 12;
  __m256i low = _mm256_setzero_si256(), high = low;
  for (std::ptrdiff_t at = begin; at < end; at += 12, split += 2 * Weights::kGroup) {
    const __m256i loaded =
        _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(lower + at), reinterpret_cast<const __m128i*>(upper + at));
    for (int pair = 0; pair < 2; pair++) {
      std::int32_t low_pair, high_pair;
      std::memcpy(&low_pair, split + pair * 2, 4);
      std::memcpy(&high_pair, split + pair * 2 + Weights::kGroup, 4);
      const __m256i words = _mm256_shuffle_epi8(loaded, spread[pair]);
      low = _mm256_add_epi32(low, _mm256_madd_epi16(words, _mm256_set1_epi32(low_pair)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(words, _mm256_set1_epi32(high_pair)));
    }
  }
  return to_words(low, high);
}

// Loads the first `count` of four pixels of three bytes.
AVX2 inline void store(std::uint8_t* out, __m128i pixels, int count) {
  if (count == 4) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), pixels);
    const std::int32_t rest = _mm_extract_epi32(pixels, 2);
    std::memcpy(out + 8, &rest, 4);
  } else {
    std::uint8_t bytes[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), pixels);
    std::memcpy(out, bytes, std::size_t(count) * 3);
  }
}

AVX2 void horizontal_rows(const std::uint8_t* const in[2], std::uint8_t* const out[2], const Weights& weights) {
  const __m256i close_up =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  for (int x = 0; x < weights.count(); x += 4) {
    const int count = std::min(weights.count() - x, 4);
    __m256i pixels[4];
    for (int i = 0; i < 4; i++) pixels[i] = pixel(in[0], in[1], weights, x + std::min(i, count - 1));
    const __m256i bytes = _mm256_shuffle_epi8(
        _mm256_packus_epi16(_mm256_packs_epi32(pixels[0], pixels[1]), _mm256_packs_epi32(pixels[2], pixels[3])),
        close_up);
    store(out[0] + x * 3, _mm256_castsi256_si128(bytes), count);
    store(out[1] + x * 3, _mm256_extracti128_si256(bytes, 1), count);
  }
}

// Prefetches the bytes [begin, end) of row y into the cache.
AVX2 inline void fetch(View source, int y, int begin, int end) {
  if (y < source.height)
    for (int at = begin; at < end; at += 64)
      _mm_prefetch(reinterpret_cast<const char*>(source.row(y) + at), _MM_HINT_T0);
}

// Works on two rows at a time and prefetches the two after the next, because an image that was decoded a while ago is
// no longer in the cache.
AVX2 void horizontal(View source, Image& out, const Weights& weights) {
  // Loads whole groups, 16 bytes for each 12, and therefore bytes after the last pixel, whose weights are zero. Rows at
  // the end of the image, with too few bytes after them, are copied first.
  const std::size_t needed = std::size_t(weights.reach()) * 3 + 4;
  const std::uint8_t* end = source.row(source.height - 1) + std::size_t(source.width) * 3;
  std::vector<std::uint8_t> padded[2];
  const auto readable = [&](int y) {
    const std::uint8_t* row = source.row(y);
    if (needed <= std::size_t(end - row)) return row;
    std::vector<std::uint8_t>& copy = padded[y % 2];
    copy.resize(needed);
    std::memcpy(copy.data(), row, std::size_t(weights.end()) * 3);
    return static_cast<const std::uint8_t*>(copy.data());
  };
  const int first = weights.begin() * 3, last = weights.end() * 3;
  for (int y = 0; y < source.height; y += 2) {
    const int below = std::min(y + 1, source.height - 1);
    const std::uint8_t* const in[2] = {readable(y), readable(below)};
    std::uint8_t* const rows[2] = {out.row(y), out.row(below)};
    horizontal_rows(in, rows, weights);
    fetch(source, y + 4, first, last);
    fetch(source, y + 5, first, last);
  }
}

AVX2 void vertical(const std::uint8_t* in, std::size_t stride, std::uint8_t* out, int bytes, const Weights& weights,
                   int i) {
  const int taps = weights.taps(i);
  int done = 0;
  for (; done + 16 <= bytes; done += 16) {
    __m256i low[2] = {}, high[2] = {};
    for (int k = 0; k < taps; k += 2) {
      // Works on pairs of rows. A last row without a partner is paired with itself, with a weight of zero.
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
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(to_words(low[0], high[0]), to_words(low[1], high[1])), 0b11011000);
    const __m128i result = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + done), result);
  }
  if (done < bytes) kPortableRows.vertical(in + done, stride, out + done, bytes - done, weights, i);
}

}  // namespace

const ResampleRows kAvx2Rows = {horizontal, vertical};

}  // namespace visiontorch::image

#endif
