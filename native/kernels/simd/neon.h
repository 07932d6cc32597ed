#pragma once

#include <arm_neon.h>

#include "kernels/types.h"

namespace visiontorch::kernels {

namespace {

// Two registers, which halve a kernel's overhead per vector and give packed weights the same layout as for AVX2.
struct Vector {
  float32x4_t low, high;
};
constexpr int kLanes = 8;

inline Vector operator+(Vector a, Vector b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline Vector operator-(Vector a, Vector b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline Vector operator*(Vector a, Vector b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
inline Vector operator/(Vector a, Vector b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
inline Vector& operator+=(Vector& a, Vector b) { return a = a + b; }
inline Vector& operator-=(Vector& a, Vector b) { return a = a - b; }
inline Vector& operator*=(Vector& a, Vector b) { return a = a * b; }

inline Vector load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
inline void store(float* p, Vector x) {
  vst1q_f32(p, x.low);
  vst1q_f32(p + 4, x.high);
}
inline Vector all(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline Vector fma(Vector a, Vector b, Vector c) {
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
inline Vector smaller(Vector a, Vector b) { return {vminq_f32(a.low, b.low), vminq_f32(a.high, b.high)}; }
inline Vector larger(Vector a, Vector b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
inline float sum_of(Vector x) { return vaddvq_f32(vaddq_f32(x.low, x.high)); }
inline float largest_of(Vector x) { return vmaxvq_f32(vmaxq_f32(x.low, x.high)); }
inline void stream(float* p, Vector x) { store(p, x); }
inline void end_of_stream() {}

using Bits = std::uint8_t;  // one bit per value
inline uint32x4_t lane_bits() {
  const std::uint32_t bits[] = {1, 2, 4, 8};
  return vld1q_u32(bits);
}
inline Bits between(Vector low, Vector x, Vector high) {
  const auto bits = [](float32x4_t low, float32x4_t x, float32x4_t high) {
    return vaddvq_u32(vandq_u32(vandq_u32(vcgtq_f32(x, low), vcltq_f32(x, high)), lane_bits()));
  };
  return static_cast<Bits>(bits(low.low, x.low, high.low) | bits(low.high, x.high, high.high) << 4);
}
inline Vector where(Bits bits, Vector x) {
  const auto some = [](std::uint32_t bits, float32x4_t x) {
    return vreinterpretq_f32_u32(vandq_u32(vtstq_u32(vdupq_n_u32(bits), lane_bits()), vreinterpretq_u32_f32(x)));
  };
  return {some(bits, x.low), some(bits >> 4, x.high)};
}

// Loads only the first `count` values; the others are zeros.
inline Vector load(const float* p, int64_t count) {
  if (count >= kLanes) return load(p);
  float values[kLanes] = {};
  for (int64_t i = 0; i < count; i++) values[i] = p[i];
  return load(values);
}
inline void store(float* p, Vector x, int64_t count) {
  if (count >= kLanes) return store(p, x);
  float values[kLanes];
  store(values, x);
  for (int64_t i = 0; i < count; i++) p[i] = values[i];
}

inline Vector reciprocal(Vector x) { return all(1) / x; }
inline Vector fraction(Vector x) { return x - Vector{vrndmq_f32(x.low), vrndmq_f32(x.high)}; }
// y * 2^floor(x)
inline Vector scale_by_power(Vector y, Vector x) {
  const auto power = [](float32x4_t x) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtmq_s32_f32(x), vdupq_n_s32(127)), 23));
  };
  return y * Vector{power(x.low), power(x.high)};
}

// Exchanges the lanes of a whose index has the bit `step` with the lanes of b whose index lacks it.
template <int step>
inline void exchange(Vector& a, Vector& b) {
  if constexpr (step == 4) {
    const float32x4_t a_high = a.high;
    a.high = b.low;
    b.low = a_high;
  } else {
    const auto halves = [](float32x4_t& a, float32x4_t& b) {
      const float32x4_t lower = step == 2 ? vcombine_f32(vget_low_f32(a), vget_low_f32(b)) : vtrn1q_f32(a, b);
      b = step == 2 ? vcombine_f32(vget_high_f32(a), vget_high_f32(b)) : vtrn2q_f32(a, b);
      a = lower;
    };
    halves(a.low, b.low);
    halves(a.high, b.high);
  }
}

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define VISIONTORCH_BFLOAT16_KERNELS

inline Vector widen(uint16x8_t halves) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
          vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(halves), 16))};
}
inline uint16x8_t narrow(Vector x) {
  return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(x.low), x.high));
}

inline Vector load(const BFloat16* p) { return widen(vld1q_u16(&p->bits)); }
inline void store(BFloat16* p, Vector x) { vst1q_u16(&p->bits, narrow(x)); }
inline void stream(BFloat16* p, Vector x) { store(p, x); }
inline Vector load(const BFloat16* p, int64_t count) {
  if (count >= kLanes) return load(p);
  BFloat16 values[kLanes] = {};
  for (int64_t i = 0; i < count; i++) values[i] = p[i];
  return load(values);
}
inline void store(BFloat16* p, Vector x, int64_t count) {
  if (count >= kLanes) return store(p, x);
  BFloat16 values[kLanes];
  store(values, x);
  for (int64_t i = 0; i < count; i++) p[i] = values[i];
}

// Pairs of bfloat16, one per lane.
struct Pairs {
  uint16x8_t low, high;
};
inline Pairs load_pairs(const void* p) {
  const auto* values = static_cast<const std::uint16_t*>(p);
  return {vld1q_u16(values), vld1q_u16(values + 8)};
}
inline void store_pairs(void* p, Pairs x) {
  auto* values = static_cast<std::uint16_t*>(p);
  vst1q_u16(values, x.low);
  vst1q_u16(values + 8, x.high);
}
inline Pairs all_pairs(const BFloat16* p) {
  std::uint32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  const uint16x8_t pairs = vreinterpretq_u16_u32(vdupq_n_u32(pair));
  return {pairs, pairs};
}
// sum + the dot product of each pair of pairs
inline Vector dot(Vector sum, Pairs a, Pairs b) {
  return {vbfdotq_f32(sum.low, vreinterpretq_bf16_u16(a.low), vreinterpretq_bf16_u16(b.low)),
          vbfdotq_f32(sum.high, vreinterpretq_bf16_u16(a.high), vreinterpretq_bf16_u16(b.high))};
}
// Pairs of the first `count` values of two rows. A null row counts as zeros.
inline Pairs pair_rows(const BFloat16* a, const BFloat16* b, int64_t count) {
  const auto values = [&](const BFloat16* row) {
    BFloat16 some[kLanes] = {};
    for (int64_t i = 0; row && i < (count < kLanes ? count : kLanes); i++) some[i] = row[i];
    return vld1q_u16(&some->bits);
  };
  const uint16x8_t first = values(a), second = values(b);
  return {vzip1q_u16(first, second), vzip2q_u16(first, second)};
}
#endif

}  // namespace

}  // namespace visiontorch::kernels
