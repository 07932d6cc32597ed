#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/x86/vector.h"

namespace visiontorch::kernels {

namespace {

// The 3 x 3 depthwise convolution with padding 1 in training, forward and backward. Each pass goes through the memory
// in order, a few pixels at a time, which share what they load.

#if defined(__AVX512F__)
constexpr int kDepthwisePixels = 4;
#else
constexpr int kDepthwisePixels = 2;
#endif

// The rows x columns of pixels that begin at (y, x). Those outside the image are read from zeros and written to
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

template <int Stride, class T>
void depthwise_forward(const DepthwiseTraining<T>& work) {
  const DepthwiseTraining<T> p = work;  // a copy, which no store can change
  constexpr int kPixels = kDepthwisePixels, kSpan = (kPixels - 1) * Stride + 3;
  const int64_t out_height = (p.height - 1) / Stride + 1, out_width = (p.width - 1) / Stride + 1;
  for (int64_t y = p.first; y < p.last; y++)
    for (int64_t x = 0; x < out_width; x += kPixels) {
      const Window<3, kSpan, const T> in(p.x, p.height, p.width, p.channels, y * Stride - 1, x * Stride - 1, p.zeros);
      const Window<1, kPixels, T> out(p.y, out_height, out_width, p.channels, y, x, p.nowhere);
      each_vector(p.channels, [&](int64_t c, int64_t count) {
        Vector sums[kPixels] = {};
#pragma GCC unroll 3
        for (int row = 0; row < 3; row++) {
          Vector pixels[kSpan];
#pragma GCC unroll 9
          for (int i = 0; i < kSpan; i++)
            pixels[i] = row < 2 ? load(in.pixels[row][i] + c, count)
                                : load_and_fetch(in.pixels[row][i] + c, count, 2 * kPixels * Stride * p.channels);
#pragma GCC unroll 3
          for (int k = 0; k < 3; k++) {
            const Vector weight = load(p.weights + (row * 3 + k) * p.weight_stride + c);
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

// What a tap of the window adds to the gradients of the input and of its weight: dx += weight * d and dweight += x * d.
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

// An output's gradient reaches the 3 x 3 inputs around it, so an input sums the gradients around it with the taps in
// reverse order.
template <class T>
void depthwise_backward_1(const DepthwiseTraining<T>& work) {
  const DepthwiseTraining<T> p = work;
  constexpr int kPixels = kDepthwisePixels;
  for (int64_t y = p.first; y < p.last; y++)
    for (int64_t x = 0; x < p.width; x += kPixels) {
      const Window<3, kPixels + 2, const T> gradient(p.gradient, p.height, p.width, p.channels, y - 1, x - 1, p.zeros);
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
#pragma GCC unroll 3
        for (int row = 0; row < 3; row++) {
          Vector d[kPixels + 2];
#pragma GCC unroll 6
          for (int i = 0; i < kPixels + 2; i++)
            d[i] = row < 2 ? load(gradient.pixels[row][i] + c, count)
                           : load_and_fetch(gradient.pixels[row][i] + c, count, ahead);
#pragma GCC unroll 3
          for (int k = 0; k < 3; k++) {
            DepthwiseTap tap(p, (2 - row) * 3 + 2 - k, c);
#pragma GCC unroll 4
            for (int i = 0; i < kPixels; i++) tap.add(d[i + k], inputs[i], dx[i]);
          }
        }
#pragma GCC unroll 4
        for (int i = 0; i < kPixels; i++) store(out.pixels[0][i] + c, dx[i], count);
      });
    }
}

// With stride 2, an output's gradient lies over 2 x 2 inputs. The tap in the middle reaches the first of them; the taps
// beside it reach the others, from two or four outputs.
template <class T>
void depthwise_backward_2(const DepthwiseTraining<T>& work) {
  const DepthwiseTraining<T> p = work;
  constexpr int kCells = 2;
  const int64_t out_height = (p.height + 1) / 2, out_width = (p.width + 1) / 2;
  for (int64_t y = p.first; y < p.last; y++)
    for (int64_t x = 0; x < out_width; x += kCells) {
      const Window<2, kCells + 1, const T> gradient(p.gradient, out_height, out_width, p.channels, y, x, p.zeros);
      const Window<2, 2 * kCells, const T> in(p.x, p.height, p.width, p.channels, 2 * y, 2 * x, p.zeros);
      const Window<2, 2 * kCells, T> out(p.dx, p.height, p.width, p.channels, 2 * y, 2 * x, p.nowhere);
      each_vector(p.channels, [&](int64_t c, int64_t count) {
        Vector d[2][kCells + 1];
#pragma GCC unroll 2
        for (int row = 0; row < 2; row++)
#pragma GCC unroll 3
          for (int i = 0; i <= kCells; i++)
            d[row][i] = load_and_fetch(gradient.pixels[row][i] + c, count, 4 * kCells * p.channels);
#pragma GCC unroll 2
        for (int row = 0; row < 2; row++) {
          Vector inputs[2 * kCells], dx[2 * kCells] = {};
#pragma GCC unroll 4
          for (int i = 0; i < 2 * kCells; i++)
            inputs[i] = load_and_fetch(in.pixels[row][i] + c, count, 4 * kCells * p.channels),
            __builtin_prefetch(out.pixels[row][i] + c + 4 * kCells * p.channels, 1, 3);
#pragma GCC unroll 2
          for (int below = 0; below <= row; below++)  // the rows of outputs that reach this one
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) {
              DepthwiseTap tap(p, (1 + row - 2 * below) * 3 + k, c);
#pragma GCC unroll 2
              for (int i = 0; i < kCells; i++) {
                // The middle tap reaches the cell's first column; the others the second, the left one from the right.
                const int at = 2 * i + (k != 1);
                tap.add(d[below][i + (k == 0)], inputs[at], dx[at]);
              }
            }
#pragma GCC unroll 4
          for (int i = 0; i < 2 * kCells; i++) store(out.pixels[row][i] + c, dx[i], count);
        }
      });
    }
}

template <class T>
void depthwise_training(const DepthwiseTraining<T>& p) {
  p.stride == 1 ? depthwise_forward<1>(p) : depthwise_forward<2>(p);
}
template <class T>
void depthwise_gradients(const DepthwiseTraining<T>& p) {
  p.stride == 1 ? depthwise_backward_1(p) : depthwise_backward_2(p);
}

}  // namespace

}  // namespace visiontorch::kernels
