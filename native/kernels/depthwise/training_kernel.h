#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/simd/vector.h"

namespace visiontorch::kernels {

namespace {

// Depthwise convolutions in training, forward and backward. Each pass goes through memory in order, a few pixels at a
// time, so that these share what they load.

#if defined(__AVX512F__)
constexpr int kDepthwisePixels = 4;
#else
constexpr int kDepthwisePixels = 2;
#endif

// The rows x columns of pixels that start at (y, x). Pixels outside of the image are read from `zeros` and written to
// `nowhere`.
template <int rows, int columns, class T>
struct Window {
  T* pixels[rows][columns];

  Window(T* image, int64_t height, int64_t width, int64_t channels, int64_t y, int64_t x, T* outside) {
    for (int row = 0; row < rows; row++)
      for (int column = 0; column < columns; column++) {
        const bool inside = y + row >= 0 && y + row < height && x + column >= 0 && x + column < width;
        pixels[row][column] = inside ? image + ((y + row) * width + x + column) * channels : outside;
      }
  }
};

template <int Kernel, int Stride, class T>
void depthwise_forward(const DepthwiseTraining<T>& work) {
  const DepthwiseTraining<T> p = work;  // a copy, so that the compiler knows that no store changes it
  constexpr int kPixels = kDepthwisePixels, kSpan = (kPixels - 1) * Stride + Kernel, kPadding = Kernel / 2;
  const int64_t out_height = (p.height - 1) / Stride + 1, out_width = (p.width - 1) / Stride + 1;
  for (int64_t y = p.first; y < p.last; y++)
    for (int64_t x = 0; x < out_width; x += kPixels) {
      const Window<Kernel, kSpan, const T> in(p.x, p.height, p.width, p.channels, y * Stride - kPadding,
                                              x * Stride - kPadding, p.zeros);
      const Window<1, kPixels, T> out(p.y, out_height, out_width, p.channels, y, x, p.nowhere);
      each_vector(p.channels, [&](int64_t c, int64_t count) {
        Vector sums[kPixels];
        const Vector bias = load(p.bias + c);
#pragma GCC unroll 4
        for (int i = 0; i < kPixels; i++) sums[i] = bias;
#pragma GCC unroll 5
        for (int row = 0; row < Kernel; row++) {
          Vector pixels[kSpan];
#pragma GCC unroll 11
          for (int i = 0; i < kSpan; i++)
            pixels[i] = row < Kernel - 1
                            ? load(in.pixels[row][i] + c, count)
                            : load_and_fetch(in.pixels[row][i] + c, count, 2 * kPixels * Stride * p.channels);
#pragma GCC unroll 7
          for (int k = 0; k < Kernel; k++) {
            const Vector weight = load(p.weights + (row * Kernel + k) * p.weight_stride + c);
#pragma GCC unroll 4
            for (int i = 0; i < kPixels; i++) sums[i] = fma(pixels[i * Stride + k], weight, sums[i]);
          }
        }
#pragma GCC unroll 4
        for (int i = 0; i < kPixels; i++) {
          __builtin_prefetch(out.pixels[0][i] + c + 4 * kPixels * p.channels, 1, 3);
          store(out.pixels[0][i] + c, sums[i], count);
        }
      });
    }
}

// Adds the share of one tap to the gradients of the input and of its weight: dx += weight * d and dweight += x * d.
template <class T>
struct DepthwiseTap {
  float* gradient;
  Vector weight, sum;

  DepthwiseTap(const DepthwiseTraining<T>& p, int tap, int64_t c)
      : gradient(p.weight_gradients + tap * p.weight_stride + c),
        weight(load(p.weights + tap * p.weight_stride + c)),
        sum(load(gradient)) {}
  ~DepthwiseTap() { store(gradient, sum); }

  void add(Vector d, Vector x, Vector& dx) {
    dx = fma(weight, d, dx);
    sum = fma(x, d, sum);
  }
};

// An output's gradient reaches the inputs around it, so an input sums the gradients around it with the taps in
// reverse order.
template <int Kernel, class T>
void depthwise_backward_1(const DepthwiseTraining<T>& work) {
  const DepthwiseTraining<T> p = work;
  constexpr int kPixels = kDepthwisePixels, kSpan = kPixels + Kernel - 1, kPadding = Kernel / 2;
  for (int64_t y = p.first; y < p.last; y++)
    for (int64_t x = 0; x < p.width; x += kPixels) {
      const Window<Kernel, kSpan, const T> gradient(p.gradient, p.height, p.width, p.channels, y - kPadding,
                                                    x - kPadding, p.zeros);
      const Window<1, kPixels, const T> in(p.x, p.height, p.width, p.channels, y, x, p.zeros);
      const Window<1, kPixels, T> out(p.dx, p.height, p.width, p.channels, y, x, p.nowhere);
      const int64_t ahead = 4 * kPixels * p.channels;
      each_vector(p.channels, [&](int64_t c, int64_t count) {
        Vector inputs[kPixels], dx[kPixels] = {};
#pragma GCC unroll 4
        for (int i = 0; i < kPixels; i++) {
          inputs[i] = load_and_fetch(in.pixels[0][i] + c, count, ahead);
          __builtin_prefetch(out.pixels[0][i] + c + ahead, 1, 3);
        }
#pragma GCC unroll 5
        for (int row = 0; row < Kernel; row++) {
          Vector d[kSpan];
#pragma GCC unroll 10
          for (int i = 0; i < kSpan; i++)
            d[i] = row < Kernel - 1 ? load(gradient.pixels[row][i] + c, count)
                                    : load_and_fetch(gradient.pixels[row][i] + c, count, ahead);
#pragma GCC unroll 7
          for (int k = 0; k < Kernel; k++) {
            DepthwiseTap tap(p, (Kernel - 1 - row) * Kernel + Kernel - 1 - k, c);
#pragma GCC unroll 4
            for (int i = 0; i < kPixels; i++) tap.add(d[i + k], inputs[i], dx[i]);
          }
        }
#pragma GCC unroll 4
        for (int i = 0; i < kPixels; i++) store(out.pixels[0][i] + c, dx[i], count);
      });
    }
}

// With stride 2, each output's gradient corresponds to a cell of 2 x 2 inputs. Half of the taps of a row reach the
// first of two inputs, the other half the second.
template <int Kernel, class T>
void depthwise_backward_2(const DepthwiseTraining<T>& work) {
  const DepthwiseTraining<T> p = work;
  constexpr int kCells = 2, kPadding = Kernel / 2;
  constexpr int kBefore = kPadding / 2, kSpan = kCells + kBefore + 1;  // outputs that reach the inputs of a cell or two
  const int64_t out_height = (p.height + 1) / 2, out_width = (p.width + 1) / 2;
  for (int64_t y = p.first; y < p.last; y++)
    for (int64_t x = 0; x < out_width; x += kCells) {
      const Window<kBefore + 2, kSpan, const T> gradient(p.gradient, out_height, out_width, p.channels, y - kBefore,
                                                         x - kBefore, p.zeros);
      const Window<2, 2 * kCells, const T> in(p.x, p.height, p.width, p.channels, 2 * y, 2 * x, p.zeros);
      const Window<2, 2 * kCells, T> out(p.dx, p.height, p.width, p.channels, 2 * y, 2 * x, p.nowhere);
      each_vector(p.channels, [&](int64_t c, int64_t count) {
        Vector d[kBefore + 2][kSpan];
#pragma GCC unroll 3
        for (int row = 0; row < kBefore + 2; row++)
#pragma GCC unroll 4
          for (int i = 0; i < kSpan; i++)
            d[row][i] = load_and_fetch(gradient.pixels[row][i] + c, count, 4 * kCells * p.channels);
#pragma GCC unroll 2
        for (int row = 0; row < 2; row++) {
          Vector inputs[2 * kCells], dx[2 * kCells] = {};
#pragma GCC unroll 4
          for (int i = 0; i < 2 * kCells; i++)
            inputs[i] = load_and_fetch(in.pixels[row][i] + c, count, 4 * kCells * p.channels),
            __builtin_prefetch(out.pixels[row][i] + c + 4 * kCells * p.channels, 1, 3);
#pragma GCC unroll 3
          for (int tap_row = (row + kPadding) % 2; tap_row < Kernel; tap_row += 2)
#pragma GCC unroll 5
            for (int k = 0; k < Kernel; k++) {
              DepthwiseTap tap(p, tap_row * Kernel + k, c);
              const int column = (k + kPadding) % 2;  // the column of the cell that this tap reaches
              const int from_row = (row + kPadding - tap_row) / 2 + kBefore;
              const int from = (column + kPadding - k) / 2 + kBefore;
#pragma GCC unroll 2
              for (int i = 0; i < kCells; i++)
                tap.add(d[from_row][i + from], inputs[2 * i + column], dx[2 * i + column]);
            }
#pragma GCC unroll 4
          for (int i = 0; i < 2 * kCells; i++) store(out.pixels[row][i] + c, dx[i], count);
        }
      });
    }
}

template <class T>
void depthwise_training(const DepthwiseTraining<T>& p) {
  if (p.kernel_size == 7) return depthwise_forward<7, 1>(p);
  if (p.kernel_size == 3) return p.stride == 1 ? depthwise_forward<3, 1>(p) : depthwise_forward<3, 2>(p);
  p.stride == 1 ? depthwise_forward<5, 1>(p) : depthwise_forward<5, 2>(p);
}
template <class T>
void depthwise_gradients(const DepthwiseTraining<T>& p) {
  if (p.kernel_size == 7) return depthwise_backward_1<7>(p);
  if (p.kernel_size == 3) return p.stride == 1 ? depthwise_backward_1<3>(p) : depthwise_backward_2<3>(p);
  p.stride == 1 ? depthwise_backward_1<5>(p) : depthwise_backward_2<5>(p);
}

}  // namespace

}  // namespace visiontorch::kernels
