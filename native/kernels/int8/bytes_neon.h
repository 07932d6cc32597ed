#pragma once

#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// What bytes.h declares, for Arm. As in Vector, two registers make one vector, so that the layouts are those of AVX2.

struct Ints {
  int32x4_t low, high;
};
struct Bytes {
  uint8x16_t low, high;
};
inline Ints load_ints(const std::int32_t* p) { return {vld1q_s32(p), vld1q_s32(p + 4)}; }
inline Vector to_float(Ints x) { return {vcvtq_f32_s32(x.low), vcvtq_f32_s32(x.high)}; }
inline Ints rounded(Vector x) { return {vcvtnq_s32_f32(x.low), vcvtnq_s32_f32(x.high)}; }
inline Bytes load_bytes(const std::uint8_t* p) { return {vld1q_u8(p), vld1q_u8(p + 16)}; }
inline void store_bytes(std::uint8_t* p, Bytes x) {
  vst1q_u8(p, x.low);
  vst1q_u8(p + 16, x.high);
}
inline void store_bytes(std::uint8_t* p, Bytes x, int64_t count) {
  if (count >= 32) return store_bytes(p, x);
  std::uint8_t copy[32];
  store_bytes(copy, x);
  if (count > 0) __builtin_memcpy(p, copy, static_cast<unsigned long>(count));
}
inline Ints add(Ints a, Ints b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
inline Ints all_ints(int x) { return {vdupq_n_s32(x), vdupq_n_s32(x)}; }
inline Bytes all_equal(std::uint8_t x) { return {vdupq_n_u8(x), vdupq_n_u8(x)}; }
inline Bytes in_order(Bytes x) {
  const uint32x4_t low = vreinterpretq_u32_u8(x.low), high = vreinterpretq_u32_u8(x.high);
  return {vreinterpretq_u8_u32(vzip1q_u32(low, high)), vreinterpretq_u8_u32(vzip2q_u32(low, high))};
}
inline void in_order(const Vector x[4], Vector to[4]) {
  to[0] = {x[0].low, x[1].low};
  to[1] = {x[2].low, x[3].low};
  to[2] = {x[0].high, x[1].high};
  to[3] = {x[2].high, x[3].high};
}
inline Bytes largest(Bytes a, Bytes b) { return {vmaxq_u8(a.low, b.low), vmaxq_u8(a.high, b.high)}; }
inline Bytes smallest(Bytes a, Bytes b) { return {vminq_u8(a.low, b.low), vminq_u8(a.high, b.high)}; }

inline Vector widen(const std::uint8_t* p) {
  const uint16x8_t words = vmovl_u8(vld1_u8(p));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), vcvtq_f32_u32(vmovl_high_u16(words))};
}
inline uint8x8_t narrow(int32x4_t a, int32x4_t b) { return vqmovun_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b))); }
inline Bytes narrow(const Ints x[4]) {
  return {vcombine_u8(narrow(x[0].low, x[1].low), narrow(x[2].low, x[3].low)),
          vcombine_u8(narrow(x[0].high, x[1].high), narrow(x[2].high, x[3].high))};
}

inline void interleave(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d, uint8x16_t to[4]) {
  const uint16x8_t ab = vreinterpretq_u16_u8(vzip1q_u8(a, b)), cd = vreinterpretq_u16_u8(vzip1q_u8(c, d));
  const uint16x8_t ab_high = vreinterpretq_u16_u8(vzip2q_u8(a, b)), cd_high = vreinterpretq_u16_u8(vzip2q_u8(c, d));
  to[0] = vreinterpretq_u8_u16(vzip1q_u16(ab, cd));
  to[1] = vreinterpretq_u8_u16(vzip2q_u16(ab, cd));
  to[2] = vreinterpretq_u8_u16(vzip1q_u16(ab_high, cd_high));
  to[3] = vreinterpretq_u8_u16(vzip2q_u16(ab_high, cd_high));
}
inline void interleave(Bytes a, Bytes b, Bytes c, Bytes d, Bytes to[4]) {
  uint8x16_t low[4], high[4];
  interleave(a.low, b.low, c.low, d.low, low);
  interleave(a.high, b.high, c.high, d.high, high);
  for (int i = 0; i < 4; i++) to[i] = {low[i], high[i]};
}
inline Bytes all_bytes(const void* p) {
  std::uint32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  const uint8x16_t bytes = vreinterpretq_u8_u32(vdupq_n_u32(four));
  return {bytes, bytes};
}

struct ByteStep {
  static constexpr int kValues = 4;
  using Value = std::uint8_t;
  using Weight = std::int8_t;
  struct Weights {
    int8x16_t low, high;
  };
  static Weights weights(const Weight* p) { return {vld1q_s8(p), vld1q_s8(p + 16)}; }
  static Bytes of_step(Bytes x, int /*step*/) { return x; }
#if defined(__ARM_FEATURE_MATMUL_INT8)
  static Bytes factor(Bytes x) { return x; }
  static Ints add(Ints sum, Bytes x, Weights w) {
    return {vusdotq_s32(sum.low, x.low, w.low), vusdotq_s32(sum.high, x.high, w.high)};
  }
#else
  // Without i8mm, only signed bytes are multiplied: byte - kByteShift.
  static Bytes factor(Bytes x) {
    const uint8x16_t sign = vdupq_n_u8(0x80);
    return {veorq_u8(x.low, sign), veorq_u8(x.high, sign)};
  }
  static Ints add(Ints sum, Bytes x, Weights w) {
    return {vdotq_s32(sum.low, vreinterpretq_s8_u8(x.low), w.low),
            vdotq_s32(sum.high, vreinterpretq_s8_u8(x.high), w.high)};
  }
#endif
};

}  // namespace

}  // namespace visiontorch::kernels
