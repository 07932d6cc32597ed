#pragma once

#include "kernels/int8/bytes.h"
#include "kernels/simd/activation.h"

namespace visiontorch::kernels {

namespace {

// Applies what comes after the sum and the residual, see Requantization, but leaves the limits of bytes to put(),
// except for values that are too large for an integer.
template <class Out, int Count>
inline void finish(Vector values[Count], const Requantization& r) {
  if (r.activation != Activation::None) {
    Vector copy[Count];  // in memory, while the values stay in registers
#pragma GCC unroll 32
    for (int i = 0; i < Count; i++) copy[i] = values[i];
    activate(copy, Count, r.activation);
    const Vector scale = all(r.out_scale), zero = all(r.out_zero);
#pragma GCC unroll 32
    for (int i = 0; i < Count; i++) values[i] = fma(copy[i], scale, zero);
  }
  if (sizeof(Out) == 1 && r.is_small) return;
  const Vector low = all(r.low), high = all(r.high);
#pragma GCC unroll 32
  for (int i = 0; i < Count; i++) {
    if constexpr (sizeof(Out) > 1) values[i] = larger(low, values[i]);
    values[i] = smaller(high, values[i]);
  }
}

// Four vectors, in the order of interleave(), rounded.
inline Bytes to_bytes(const Vector values[4], float low, float high) {
  Ints integers[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) integers[i] = rounded(values[i]);
  const Bytes bytes = largest(narrow(integers), all_equal(static_cast<std::uint8_t>(low)));
  return smallest(bytes, all_equal(static_cast<std::uint8_t>(high)));
}

// Store the first `count` values.
template <int Vectors>
inline void put(float* to, const Vector* values, int64_t count, const Requantization&) {
#pragma GCC unroll 4
  for (int i = 0; i < Vectors; i++) store(to + i * kLanes, values[i], count - i * kLanes);
}
template <int Vectors>
inline void put(std::uint8_t* to, const Vector* values, int64_t count, const Requantization& r) {
  constexpr int kLast = Vectors - 1;
  const Vector four[4] = {values[0], values[kLast < 1 ? kLast : 1], values[kLast < 2 ? kLast : 2], values[kLast]};
  store_bytes(to, in_order(to_bytes(four, r.low, r.high)), least(count, Vectors * kLanes));
}

}  // namespace

}  // namespace visiontorch::kernels
