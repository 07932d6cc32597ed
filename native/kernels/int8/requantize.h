#pragma once

#include "kernels/int8/bytes.h"
#include "kernels/simd/activation.h"

namespace visiontorch::kernels {

namespace {

// Applies what comes after the sum and the residual: see Requantization.
template <int Count>
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
  const Vector low = all(r.low), high = all(r.high);
#pragma GCC unroll 32
  for (int i = 0; i < Count; i++) values[i] = smaller(high, larger(low, values[i]));
}

inline void put(float* to, Vector x, int64_t count) { store(to, x, count); }
inline void put(std::uint8_t* to, Vector x, int64_t count) { narrow(to, rounded(x), count); }

}  // namespace

}  // namespace visiontorch::kernels
