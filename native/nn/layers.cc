#include "nn/layers.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace visiontorch::nn {

namespace {

// Windows of this size, `stride` apart, over both axes of an image.
Shape slide(const Shape& input, int64_t channels, int64_t window, int64_t stride, int64_t padding) {
  auto size = [&](int64_t in) {
    const int64_t room = in + 2 * padding - window;
    return in == 0 || room < 0 ? 0 : room / stride + 1;
  };
  return {channels, size(input[1]), size(input[2])};
}

at::TensorOptions without_memory() { return at::TensorOptions(at::kFloat).device(at::kMeta); }

}  // namespace

bool is_empty(const Shape& shape) { return std::find(shape.begin(), shape.end(), 0) != shape.end(); }

const char* name_of(Activation activation) {
  switch (activation) {
    case Activation::ReLU: return "ReLU";
    case Activation::ReLU6: return "ReLU6";
  }
  return "";
}

Shape Conv2d::output_shape(const Shape& input) const {
  return slide(input, out_channels, dilation * (kernel_size - 1) + 1, stride, padding);
}

std::vector<LayerTensor> Conv2d::tensors() {
  std::vector<LayerTensor> result = {{"weight", &weight, true}};
  if (has_bias) result.push_back({"bias", &bias, true});
  return result;
}

void Conv2d::outline() {
  weight = at::empty({out_channels, in_channels / groups, kernel_size, kernel_size}, without_memory());
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

Shape Linear::output_shape(const Shape& input) const {
  Shape result = input;
  result.back() = out_features;
  return result;
}

std::vector<LayerTensor> Linear::tensors() { return {{"weight", &weight, true}, {"bias", &bias, true}}; }

void Linear::outline() {
  weight = at::empty({out_features, in_features}, without_memory());
  bias = at::empty({out_features}, without_memory());
}

Shape MaxPool2d::output_shape(const Shape& input) const { return slide(input, input[0], kernel_size, stride, padding); }

Shape AdaptiveAvgPool2d::output_shape(const Shape& input) const {
  return is_empty(input) ? input : Shape{input[0], output_size, output_size};
}

Shape Flatten::output_shape(const Shape& input) const {
  int64_t features = 1;
  for (int64_t size : input) features *= size;
  return {features};
}

}  // namespace visiontorch::nn
