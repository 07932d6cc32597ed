#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "kernels/kernels.h"
#include "nn/layers.h"
#include "ops/packing.h"

namespace visiontorch::ops {

// To be called with a result and its rows (pixels) [begin, end) once they are computed, each once, by the thread that
// did.
using RowsDone = std::function<void(at::Tensor& result, int64_t begin, int64_t end)>;

// A convolution with this project's own kernels, its weights packed: by Winograd's filtering where that is faster, else
// as matrix product over shifted pixels.
class Convolution {
 public:
  // Whether there is a kernel for this convolution on this processor.
  static bool supports(const nn::Conv2d& conv, at::ScalarType type);

  // layer: its weight [out, in, k, k]; `images` are the sizes [n, in, h, w] that it is prepared for: other ones work
  // too. type: float32 or bfloat16.
  Convolution(const nn::Conv2d& conv, const Affine& layer, at::IntArrayRef images, at::ScalarType type);

  // As matrix product in any case.
  static Convolution product(const nn::Conv2d& conv, const Affine& layer, at::ScalarType type);
  // Winograd's, with padding 1, of a weight [out, in, 3, 3]. factors: the type of what is multiplied, float32 or
  // `type`.
  static Convolution winograd(const Affine& layer, at::ScalarType type, Taps taps = Taps::InOrder,
                              at::ScalarType factors = at::kFloat);
  static bool supports_winograd(const nn::Conv2d& conv);

  // The gradient [n, in, h, w] of such a convolution's input, of these sizes, by that of its output [n, out, ...], with
  // its weight [out, in, k, k] in float32: in the type of the output's, channels-last. `added`, of the same type and
  // order or undefined, is added and overwritten by the result. `done` may be null; it is called where the stride is 1.
  static at::Tensor input_gradient(const nn::Conv2d& conv, const at::Tensor& weight, const at::Tensor& gradient,
                                   at::IntArrayRef sizes, const at::Tensor& added = {}, const RowsDone& done = {});

  // x: [n, in, h, w], channels-last -> activation(conv(x) + bias + residual) in this type, channels-last. A residual is
  // overwritten by the result.
  at::Tensor operator()(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor residual = {}) const;

 private:
  // What is multiplied: windows of height x width pixels, the first from row -top and column -left on.
  struct Windows {
    int64_t height, width, stride, top, left;
  };
  static constexpr Windows kWinogradWindows{3, 3, 1, 1, 1};
  // Which pixels of the output are computed: height x width of them, `step` apart, the first in this row and column.
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
  int64_t out_channels_;
  // With few channels, a row of the window is taken as one run of memory: a tap for each row instead of each pixel.
  // Such a convolution, a network's first, takes float32.
  bool merged_ = false;
  bool on_the_way_ = false;  // Winograd: packed_ holds the weight as it is
  Packed packed_;
};

}  // namespace visiontorch::ops
