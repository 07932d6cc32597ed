#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

namespace visiontorch::nn {

// The shape of one image's activations, without the batch: {channels, height, width} or {features}. A size of zero
// means that the image was so small that nothing is left of it.
using Shape = std::vector<int64_t>;
bool is_empty(const Shape& shape);

// A tensor of a layer, which is an entry of the state dict.
struct LayerTensor {
  const char* name;  // "weight", "running_mean", ...
  at::Tensor* tensor;
  bool is_parameter;          // otherwise a buffer
  bool is_positions = false;  // a position embedding: see interpolate_positions()
};

// Every layer knows the shape of its output. Layers with parameters also list their tensors, in PyTorch's order.
// outline() makes the tensors without memory (on PyTorch's meta device), to be initialized or loaded later: a file may
// claim a network of any size, so that size is compared with the file's tensors first.

// Every `switch` over this enum lists all values and has no default, so that the compiler reports a missing one.
enum class Activation : uint8_t { ReLU, ReLU6, Hardswish, Hardsigmoid, SiLU, Sigmoid, GELU, Tanh };
const char* name_of(Activation activation);  // the name of PyTorch's class

// A size along both axes of an image. A single number applies to both.
struct Size {
  int64_t height, width;

  constexpr Size(int64_t both) : height(both), width(both) {}
  constexpr Size(int64_t height, int64_t width) : height(height), width(width) {}
  bool operator==(const Size&) const = default;
  bool is_square() const { return height == width; }
  std::array<int64_t, 2> both() const { return {height, width}; }  // as LibTorch takes it
};

struct Conv2d {
  int64_t in_channels, out_channels;
  Size kernel_size;
  int64_t stride = 1;
  Size padding = 0;
  int64_t dilation = 1, groups = 1;
  bool has_bias = false;
  at::Tensor weight{}, bias{};  // [out, in / groups, height, width], [out]

  bool is_pointwise() const { return kernel_size == 1 && stride == 1 && padding == 0 && groups == 1; }
  bool is_depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
  int64_t weight_count() const {
    return out_channels * (in_channels / groups) * kernel_size.height * kernel_size.width;
  }
  Shape output_shape(const Shape& input) const;
  std::vector<LayerTensor> tensors();
  void outline();
};

struct BatchNorm2d {
  int64_t num_features;
  double eps = 1e-5, momentum = 0.1;                           // PyTorch's defaults
  bool is_frozen = false;                                      // in training, uses and keeps its running statistics
  at::Tensor weight{}, bias{}, running_mean{}, running_var{};  // [num_features]
  at::Tensor num_batches_tracked{};                            // int64 scalar

  Shape output_shape(const Shape& input) const { return input; }
  std::vector<LayerTensor> tensors();
  void outline();
  void reset();  // sets the initial values: ones and zeros
};

// Normalizes the last axis, or the channels of an image (torchvision's LayerNorm2d).
struct LayerNorm {
  int64_t features;
  double eps = 1e-5;  // PyTorch's default
  bool of_channels = false;
  at::Tensor weight{}, bias{};  // [features]

  Shape output_shape(const Shape& input) const { return input; }
  std::vector<LayerTensor> tensors();
  void outline();
};

// Applies to the last axis.
struct Linear {
  int64_t in_features, out_features;
  bool has_bias = true;
  at::Tensor weight{}, bias{};  // [out, in], [out]

  Shape output_shape(const Shape& input) const;
  std::vector<LayerTensor> tensors();
  void outline();
};

struct MaxPool2d {
  int64_t kernel_size, stride, padding = 0;
  bool ceil_mode = false;  // the last window may end outside of the image
  Shape output_shape(const Shape& input) const;
};

// The average includes the padding's zeros.
struct AvgPool2d {
  int64_t kernel_size, stride, padding = 0;
  Shape output_shape(const Shape& input) const;
};

struct AdaptiveAvgPool2d {
  int64_t output_size;
  Shape output_shape(const Shape& input) const;
};

struct Flatten {
  Shape output_shape(const Shape& input) const;
};

struct Dropout {
  double p;
  Shape output_shape(const Shape& input) const { return input; }
};

// Selects the channels from `begin` on.
struct ChannelSlice {
  int64_t begin, count;
  Shape output_shape(const Shape& input) const { return {count, input[1], input[2]}; }
};

// Interleaves the channels of `groups` equal groups (Zhang et al. 2017, arXiv:1707.01083).
struct ChannelShuffle {
  int64_t groups;
  Shape output_shape(const Shape& input) const { return input; }
};

// x -> x * scale + shift, for red, green and blue.
struct ChannelAffine {
  std::array<double, 3> scale, shift;
  Shape output_shape(const Shape& input) const { return input; }
};

// The order of an image's axes, as in PyTorch's permute(), without the batch: {1, 2, 0} moves the channels to the end.
struct Permute {
  std::vector<int64_t> axes;
  Shape output_shape(const Shape& input) const;
};

}  // namespace visiontorch::nn
