#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "nn/layers.h"
#include "ops/packing.h"
#include "ops/windows.h"

namespace visiontorch::ops {

// A function that is called with a result and some of its rows (pixels), [begin, end), as soon as they are computed, on
// the thread that computed them. Every row is in exactly one of the calls.
using RowsDone = std::function<void(at::Tensor& result, int64_t begin, int64_t end)>;

// A convolution with this project's own kernels and packed weights: by Winograd filtering if that is faster, otherwise
// as an indirect matrix product.
class Convolution {
 public:
  // Returns whether there is a kernel for this convolution on this processor.
  static bool supports(const nn::Conv2d& conv, at::ScalarType type);

  // The layer's weight is [out, in, k, k]. The convolution is tuned for images of the sizes [n, in, h, w] in `images`;
  // others work too. type: float32 or bfloat16.
  Convolution(const nn::Conv2d& conv, const Affine& layer, at::IntArrayRef images, at::ScalarType type);

  // Always uses a matrix product.
  static Convolution product(const nn::Conv2d& conv, const Affine& layer, at::ScalarType type);
  // Always uses Winograd filtering, with padding 1; the weight is [out, in, 3, 3]. factors: the type of transformed
  // values when they are multiplied, float32 or `type`.
  static Convolution winograd(const Affine& layer, at::ScalarType type, Taps taps = Taps::InOrder,
                              at::ScalarType factors = at::kFloat);
  static bool supports_winograd(const nn::Conv2d& conv);

  // Computes the gradient of the input [n, in, h, w] of a convolution with a square kernel from the gradient of its
  // output [n, out, h', w'] and its weight [out, in, k, k] in float32. The result is channels-last and has the type of
  // the output's gradient. `added` is undefined, or a tensor of the same type and memory format that is added to the
  // result and overwritten by it. `done` may be null; it is called only if the stride is 1.
  static at::Tensor input_gradient(const nn::Conv2d& conv, const at::Tensor& weight, const at::Tensor& gradient,
                                   at::IntArrayRef sizes, const at::Tensor& added = {}, const RowsDone& done = {});

  // x: [n, in, h, w], channels-last -> activation(conv(x) + bias + residual) in the convolution's type, channels-last.
  // The result overwrites the residual, if there is one.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor residual = {}) const;

  // Writes activation(conv(x) + bias) to y, which may have some of the channels of a larger image.
  void write(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor& y) const;

 private:
  static constexpr Windows kWinogradWindows{3, 3, 1, 1, 1};
  // The computed pixels of the output: height x width of them, `step` apart, the first in this row and column.
  struct Grid {
    int64_t height, width, row = 0, column = 0, step = 1;
  };

  Convolution() = default;
  at::Tensor prepare(const at::Tensor& x) const;
  void run(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor& y, bool adds) const;
  template <class In, class Out>
  void multiply(const at::Tensor& x, at::Tensor& y, const Grid& grid, const kernels::Epilogue<Out>& epilogue,
                const RowsDone& done = {}) const;
  template <class T, class Factor>
  void filter(const at::Tensor& x, at::Tensor& y, const kernels::Epilogue<T>& epilogue) const;

  at::ScalarType type_ = at::kFloat;
  enum class Algorithm { Product, Winograd } algorithm_;
  Windows windows_;
  int64_t out_channels_, groups_ = 1;
  // With few channels, a row of the window is one run of memory, so there is one tap per row instead of one per pixel.
  // Such a convolution is a network's first, and takes float32.
  bool merged_ = false;
  bool on_the_way_ = false;  // Winograd: packed_ has the weight untransformed
  Packed packed_;
};

}  // namespace visiontorch::ops
