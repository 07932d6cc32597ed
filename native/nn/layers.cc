#include "nn/layers.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace visiontorch::nn {

namespace {

// Returns the number of windows of this size, `stride` apart, along both axes of an image.
Shape slide(const Shape& input, int64_t channels, Size window, int64_t stride, Size padding, bool ceil_mode = false) {
  auto count = [&](int64_t in, int64_t extent, int64_t pad) -> int64_t {
    const int64_t room = in + 2 * pad - extent;
    if (in == 0 || room < 0) return 0;
    if (!ceil_mode) return room / stride + 1;
    const int64_t windows = (room + stride - 1) / stride + 1;
    return (windows - 1) * stride < in + pad ? windows : windows - 1;  // no window may start in the padding at the end
  };
  return {channels, count(input[1], window.height, padding.height), count(input[2], window.width, padding.width)};
}

at::TensorOptions without_memory() { return at::TensorOptions(at::kFloat).device(at::kMeta); }

}  // namespace

bool is_empty(const Shape& shape) { return std::find(shape.begin(), shape.end(), 0) != shape.end(); }

const char* name_of(Activation activation) {
  switch (activation) {
    case Activation::ReLU: return "ReLU";
    case Activation::ReLU6: return "ReLU6";
    case Activation::Hardswish: return "Hardswish";
    case Activation::Hardsigmoid: return "Hardsigmoid";
    case Activation::SiLU: return "SiLU";
    case Activation::Sigmoid: return "Sigmoid";
    case Activation::GELU: return "GELU";
    case Activation::Tanh: return "Tanh";
  }
  return "";
}

Shape Conv2d::output_shape(const Shape& input) const {
  const Size window(dilation * (kernel_size.height - 1) + 1, dilation * (kernel_size.width - 1) + 1);
  return slide(input, out_channels, window, stride, padding);
}

std::vector<LayerTensor> Conv2d::tensors() {
  std::vector<LayerTensor> result = {{"weight", &weight, true}};
  if (has_bias) result.push_back({"bias", &bias, true});
  return result;
}

void Conv2d::outline() {
  weight = at::empty({out_channels, in_channels / groups, kernel_size.height, kernel_size.width}, without_memory());
  if (has_bias) bias = at::empty({out_channels}, without_memory());
}

std::vector<LayerTensor> BatchNorm2d::tensors() {
  return {{"weight", &weight, true},
          {"bias", &bias, true},
          {"running_mean", &running_mean, false},
          {"running_var", &running_var, false},
          {"num_batches_tracked", &num_batches_tracked, false}};
}

void BatchNorm2d::outline() {
  for (at::Tensor* tensor : {&weight, &bias, &running_mean, &running_var})
    *tensor = at::empty({num_features}, without_memory());
  num_batches_tracked = at::empty({}, without_memory().dtype(at::kLong));
}

void BatchNorm2d::reset() {
  weight = at::ones({num_features}, at::kFloat);
  bias = at::zeros({num_features}, at::kFloat);
  running_mean = at::zeros({num_features}, at::kFloat);
  running_var = at::ones({num_features}, at::kFloat);
  num_batches_tracked = at::zeros({}, at::kLong);
}

std::vector<LayerTensor> LayerNorm::tensors() { return {{"weight", &weight, true}, {"bias", &bias, true}}; }

void LayerNorm::outline() {
  weight = at::empty({features}, without_memory());
  bias = at::empty({features}, without_memory());
}

Shape Linear::output_shape(const Shape& input) const {
  if (is_empty(input)) return input;
  Shape result = input;
  result.back() = out_features;
  return result;
}

std::vector<LayerTensor> Linear::tensors() {
  std::vector<LayerTensor> result = {{"weight", &weight, true}};
  if (has_bias) result.push_back({"bias", &bias, true});
  return result;
}

void Linear::outline() {
  weight = at::empty({out_features, in_features}, without_memory());
  if (has_bias) bias = at::empty({out_features}, without_memory());
}

Shape MaxPool2d::output_shape(const Shape& input) const {
  return slide(input, input[0], kernel_size, stride, padding, ceil_mode);
}

Shape AvgPool2d::output_shape(const Shape& input) const { return slide(input, input[0], kernel_size, stride, padding); }

Shape Permute::output_shape(const Shape& input) const {
  Shape result;
  for (int64_t axis : axes) result.push_back(input[static_cast<size_t>(axis)]);
  return result;
}

Shape AdaptiveAvgPool2d::output_shape(const Shape& input) const {
  return is_empty(input) ? input : Shape{input[0], output_size, output_size};
}

Shape Flatten::output_shape(const Shape& input) const {
  int64_t features = 1;
  for (int64_t size : input) features *= size;
  return {features};
}

}  // namespace visiontorch::nn
