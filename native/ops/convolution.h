#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "nn/layers.h"
#include "ops/packing.h"

namespace visiontorch::ops {

// Is called with a result and some of its rows (pixels), [begin, end), as soon as they are computed, by the thread that
// computed them. Every row is in exactly one of the calls.
using RowsDone = std::function<void(at::Tensor& result, int64_t begin, int64_t end)>;

// A convolution with this project's own kernels and packed weights: by Winograd's filtering if that is faster,
// otherwise as an indirect matrix product.
class Convolution {
 public:
  // Whether there is a kernel for this convolution on this processor.
  static bool supports(const nn::Conv2d& conv, at::ScalarType type);

  // The layer's weight is [out, in, k, k]. `images` are the sizes [n, in, h, w] that the convolution is prepared for;
  // others work too. type: float32 or bfloat16.
  Convolution(const nn::Conv2d& conv, const Affine& layer, at::IntArrayRef images, at::ScalarType type);

  // Always as a matrix product.
  static Convolution product(const nn::Conv2d& conv, const Affine& layer, at::ScalarType type);
  // Always by Winograd's filtering, with padding 1; the weight is [out, in, 3, 3]. factors: the type of transformed
  // values when they are multiplied, float32 or `type`.
  static Convolution winograd(const Affine& layer, at::ScalarType type, Taps taps = Taps::InOrder,
                              at::ScalarType factors = at::kFloat);
  static bool supports_winograd(const nn::Conv2d& conv);

  // The gradient of the input [n, in, h, w] of a convolution with a square kernel, from the gradient of its output [n,
  // out, h', w'] and its weight [out, in, k, k] in float32. It is channels-last and of the type of the output's
  // gradient. `added` is undefined, or of the same type and memory format: then it is added, and overwritten by the
  // result. `done` may be null; it is called only if the stride is 1.
  static at::Tensor input_gradient(const nn::Conv2d& conv, const at::Tensor& weight, const at::Tensor& gradient,
                                   at::IntArrayRef sizes, const at::Tensor& added = {}, const RowsDone& done = {});

  // x: [n, in, h, w], channels-last -> activation(conv(x) + bias + residual) in this type, channels-last. The result
  // overwrites a residual.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor residual = {}) const;

 private:
  // The inputs of each output: windows of height x width pixels, the first of which begins in row -top and column
  // -left.
  struct Windows {
    int64_t height, width, stride, top, left;
  };
  static constexpr Windows kWinogradWindows{3, 3, 1, 1, 1};
  // The pixels of the output that are computed: height x width of them, `step` apart, the first in this row and column.
  struct Grid {
    int64_t height, width, row = 0, column = 0, step = 1;
  };

  Convolution() = default;
  template <class In, class Out>
  void multiply(const at::Tensor& x, at::Tensor& y, const Grid& grid, const kernels::Epilogue<Out>& epilogue,
                const RowsDone& done = {}) const;
  template <class T, class Factor>
  void filter(const at::Tensor& x, at::Tensor& y, const kernels::Epilogue<T>& epilogue) const;

  at::ScalarType type_ = at::kFloat;
  enum class Algorithm { Product, Winograd } algorithm_;
  Windows windows_;
  int64_t out_channels_, groups_ = 1;
  // With few channels, a row of the window is one run of memory: there is a tap for each row instead of each pixel.
  // Such a convolution, which is a network's first, takes float32.
  bool merged_ = false;
  bool on_the_way_ = false;  // Winograd: packed_ holds the weight as it is
  Packed packed_;
};

}  // namespace visiontorch::ops
