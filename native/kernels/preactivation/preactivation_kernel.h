#pragma once

#include "kernels/preactivation/preactivation.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Several rows at a time share what they load. Clamps: the activation is ReLU or ReLU6, or there is none.
template <int Rows, bool Clamps, class T>
inline void preactivate_rows(const Preactivation<T>& p, int64_t m) {
  const Vector low = all(p.activation == Activation::None ? -__builtin_inff() : 0);
  const Vector high = all(p.activation == Activation::ReLU6 ? 6 : __builtin_inff());
  const Vector share = all(1 / static_cast<float>(p.taps));
  each_vector(p.channels, [&](int64_t c, int64_t count) {
    const Vector scale = load(p.scale + c, count), offset = load(p.offset + c, count);
    Vector sums[Rows];
    for (int64_t tap = 0; tap < p.taps; tap++) {
      Vector values[Rows];
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) values[r] = fma(load(p.rows[tap * p.count + m + r] + c, count), scale, offset);
      if constexpr (Clamps) {
#pragma GCC unroll 4
        for (int r = 0; r < Rows; r++) values[r] = larger(low, smaller(high, values[r]));
      } else {
        activate(values, Rows, p.activation);
      }
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) sums[r] = tap == 0 ? values[r] : sums[r] + values[r];
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++)
      store(p.out + (m + r) * p.stride + c, p.taps == 1 ? sums[r] : sums[r] * share, count);
  });
}

template <bool Clamps, class T>
void preactivate_all(const Preactivation<T>& preactivation) {
  const Preactivation<T> p = preactivation;  // a copy, so that the compiler knows that no store changes it
  int64_t m = 0;
  for (; m + 4 <= p.count; m += 4) preactivate_rows<4, Clamps>(p, m);
  for (; m < p.count; m++) preactivate_rows<1, Clamps>(p, m);
}

template <class T>
void preactivate(const Preactivation<T>& p) {
  clamps(p.activation) ? preactivate_all<true>(p) : preactivate_all<false>(p);
}

}  // namespace

}  // namespace visiontorch::kernels
