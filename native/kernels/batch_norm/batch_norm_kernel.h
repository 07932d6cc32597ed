#pragma once

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/simd/activation.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Batch norm in training. Memory traffic limits these loops, so they read and write each value only once.

// Returns whether to bypass the caches, which is possible only if the vectors of each row are aligned to their size.
template <class T>
inline bool streams(bool wanted, const T* to, int64_t channels) {
  return wanted && channels % kLanes == 0 && reinterpret_cast<__UINTPTR_TYPE__>(to) % (kLanes * sizeof(T)) == 0;
}
template <bool Stream, class T>
inline void put(T* p, Vector x, int64_t count) {
  if constexpr (Stream) {
    stream(p, x);
  } else {
    store(p, x, count);
  }
}

// A result becomes 6 when it is rounded to bfloat16 if it is at most half a step below.
template <class T>
constexpr float kHalfStep = sizeof(T) == sizeof(float) ? 0 : 0x1p-6F;

// Returns the bits of the vector of channels that starts at c; `row` points to the row's first bits.
inline Bits load_bits(const uint8_t* row, int64_t c) {
  Bits bits;
  __builtin_memcpy(&bits, row + c / 8, sizeof(bits));
  return bits;
}
inline void store_bits(uint8_t* row, int64_t c, Bits bits) { __builtin_memcpy(row + c / 8, &bits, sizeof(bits)); }

// The number of rows that are summed at once: as many as the registers hold.
#if defined(__AVX512F__)
constexpr int kSummedRows = 8;
#else
constexpr int kSummedRows = 4;
#endif

template <int Rows, class T>
inline void add_up_rows(const BatchNormSums<T>& p, const T* x) {
  each_vector(p.channels, [&](int64_t c, int64_t count) {
    const Vector shift = load(p.shift + c, count);
    Vector d[Rows], squares[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) d[r] = load_and_fetch(x + r * p.channels + c, count, Rows * p.channels) - shift;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) squares[r] = d[r] * d[r];
    store(p.sum + c, load(p.sum + c, count) + total<Rows>(d), count);
    store(p.square + c, load(p.square + c, count) + total<Rows>(squares), count);
  });
}

template <class T>
void batch_norm_sums(const BatchNormSums<T>& sums) {
  const BatchNormSums<T> p = sums;  // a copy, here and below, so that the compiler knows that no store changes it
  each_vector(p.channels, [&](int64_t c, int64_t count) {
    store(p.sum + c, all(0), count);
    store(p.square + c, all(0), count);
  });
  int64_t row = 0;
  for (; row + kSummedRows <= p.rows; row += kSummedRows) add_up_rows<kSummedRows>(p, p.x + row * p.channels);
  for (; row < p.rows; row++) add_up_rows<1>(p, p.x + row * p.channels);
}

// Compiled for None, ReLU and ReLU6 alone (Clamps), too: the functions of the other activations in the same loop need
// so many registers that these would become slower.
template <bool Stream, bool Clamps, class T>
void batch_norm_rows(const BatchNorm<T>& batch_norm) {
  const BatchNorm<T> p = batch_norm;
  if (clamps(p.activation) != Clamps) __builtin_unreachable();
  const Vector low = all(0), high = all(p.activation == Activation::ReLU6 ? 6 - kHalfStep<T> : __builtin_inff());
  for (int64_t row = 0; row < p.rows; row++) {
    const int64_t at = row * p.channels;
    uint8_t* passes = p.passes ? p.passes + row * bits_stride(p.channels) : nullptr;
    each_vector(p.channels, [&](int64_t c, int64_t count) {
      Vector y = fma(load_and_fetch(p.x + at + c, count), load(p.scale + c, count), load(p.offset + c, count));
      if (p.residual) y += load_and_fetch(p.residual + at + c, count);
      if (passes) store_bits(passes, c, between(low, y, high));
      put<Stream>(p.y + at + c, activate(y, p.activation), count);
    });
  }
}

template <class T>
void batch_norm(const BatchNorm<T>& p) {
  const bool stream = streams(p.stream, p.y, p.channels);
  if (clamps(p.activation)) {
    stream ? batch_norm_rows<true, true>(p) : batch_norm_rows<false, true>(p);
  } else {
    stream ? batch_norm_rows<true, false>(p) : batch_norm_rows<false, false>(p);
  }
  if (stream) end_of_stream();
}

// The gradient of the activation's input, for some rows and the vector of channels that starts at c.
template <int Rows, bool Smooth, class T>
struct Passed {
  Vector g[Rows], centered[Rows];  // centered: x - mean

  Passed(const BatchNormGradient<T>& p, int64_t row, int64_t c, int64_t count) {
    const int64_t ahead = Rows > 1 ? Rows * p.channels : kAhead;
    const Vector mean = load(p.mean + c, count);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++) {
      const int64_t i = (row + r) * p.channels + c;
      g[r] = load_and_fetch(p.gradient + i, count, ahead);
      if (p.passes) g[r] = where(load_bits(p.passes + (row + r) * bits_stride(p.channels), c), g[r]);
      centered[r] = load_and_fetch(p.x + i, count, ahead);
    }
    if constexpr (Smooth) {
      const Vector scale = load(p.scale + c, count), offset = load(p.offset + c, count);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) g[r] *= derivative(fma(centered[r], scale, offset), p.activation);
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++) centered[r] -= mean;
  }
};

template <int Rows, bool Stream, bool Smooth, class T>
inline void add_up_gradients(const BatchNormGradient<T>& p, int64_t row) {
  each_vector(p.channels, [&](int64_t c, int64_t count) {
    Passed<Rows, Smooth, T> rows(p, row, c, count);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++) {
      if (p.passed) put<Stream>(p.passed + (row + r) * p.channels + c, rows.g[r], count);
      rows.centered[r] *= rows.g[r];
    }
    store(p.sum + c, load(p.sum + c, count) + total<Rows>(rows.g), count);
    store(p.dot + c, load(p.dot + c, count) + total<Rows>(rows.centered), count);
  });
}

template <bool Stream, bool Smooth, class T>
void add_up_gradients(const BatchNormGradient<T>& gradient) {
  const BatchNormGradient<T> p = gradient;
  each_vector(p.channels, [&](int64_t c, int64_t count) {
    store(p.sum + c, all(0), count);
    store(p.dot + c, all(0), count);
  });
  int64_t row = 0;
  for (; row + 4 <= p.rows; row += 4) add_up_gradients<4, Stream, Smooth>(p, row);
  for (; row < p.rows; row++) add_up_gradients<1, Stream, Smooth>(p, row);
}

template <class T>
void batch_norm_gradient_sums(const BatchNormGradient<T>& p) {
  if (p.activation != Activation::None) return add_up_gradients<false, true>(p);
  if (!p.passed || !streams(p.stream, p.passed, p.channels)) return add_up_gradients<false, false>(p);
  add_up_gradients<true, false>(p);
  end_of_stream();
}

template <bool Stream, bool Smooth, class T>
void batch_norm_gradient_rows(const BatchNormGradient<T>& gradient) {
  const BatchNormGradient<T> p = gradient;
  for (int64_t row = 0; row < p.rows; row++)
    each_vector(p.channels, [&](int64_t c, int64_t count) {
      const Passed<1, Smooth, T> passed(p, row, c, count);
      const Vector centered = fma(load(p.of_centered + c, count), passed.centered[0], load(p.constant + c, count));
      put<Stream>(p.dx + row * p.channels + c, fma(load(p.of_gradient + c, count), passed.g[0], centered), count);
    });
}

template <class T>
void batch_norm_gradient(const BatchNormGradient<T>& p) {
  const bool stream = streams(p.stream, p.dx, p.channels);
  if (p.activation != Activation::None) {
    stream ? batch_norm_gradient_rows<true, true>(p) : batch_norm_gradient_rows<false, true>(p);
  } else {
    stream ? batch_norm_gradient_rows<true, false>(p) : batch_norm_gradient_rows<false, false>(p);
  }
  if (stream) end_of_stream();
}

}  // namespace

}  // namespace visiontorch::kernels
