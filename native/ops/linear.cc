#include "ops/linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

namespace {

nn::Conv2d pointwise(int64_t in, int64_t out) { return {.in_channels = in, .out_channels = out, .kernel_size = 1}; }

// Rows [..., features] as an image that is one pixel high, channels-last.
at::Tensor as_image(const at::Tensor& x) { return x.reshape({1, 1, -1, x.size(-1)}).permute({0, 3, 1, 2}); }

}  // namespace

Affine scaled(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& scale) {
  Affine layer{weight.unsqueeze(2).unsqueeze(3), bias, {}};
  if (!scale.defined()) return layer;
  layer.factors = scale.to(at::kDouble).contiguous();
  if (bias.defined()) layer.bias = (bias.to(at::kDouble) * layer.factors).to(at::kFloat);
  return layer;
}

bool Linear::supports(at::ScalarType type) { return has_kernels(type); }

Linear::Linear(const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type)
    : weight_(weight.to(type).contiguous()), bias_(bias.contiguous()) {}

at::Tensor Linear::operator()(const at::Tensor& input, std::optional<nn::Activation> activation) const {
  constexpr int64_t kRows = 96;  // of weights per task: enough to make up for reading the inputs
  const at::Tensor x = input.to(weight_.scalar_type()).contiguous();
  const int64_t outputs = weight_.size(0), threads = at::get_num_threads();
  at::Tensor y = at::empty({x.size(0), outputs}, at::kFloat);
  const int64_t tasks = threads * std::max<int64_t>(1, outputs / (threads * kRows));
  with_type(weight_.scalar_type(), [&]<class T>(T) {
    parallel_tasks(tasks, [&](int64_t task, int) {
      const kernels::Linear<T> layer{.x = data<T>(x),
                                     .count = x.size(0),
                                     .inputs = x.size(1),
                                     .outputs = outputs,
                                     .weights = data<T>(weight_),
                                     .bias = bias_.const_data_ptr<float>(),
                                     .first = outputs * task / tasks,
                                     .last = outputs * (task + 1) / tasks,
                                     .out = y.mutable_data_ptr<float>(),
                                     .activation = kind(activation)};
      table().of<T>().linear(layer);
    });
  });
  return y;
}

bool TokenLinear::supports(int64_t in_features, at::ScalarType type) {
  return Convolution::supports(pointwise(in_features, 1), type);
}

TokenLinear::TokenLinear(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& scale, at::ScalarType type)
    : product_(Convolution::product(pointwise(weight.size(1), weight.size(0)), scaled(weight, bias, scale), type)) {}

at::Tensor TokenLinear::operator()(const at::Tensor& x, std::optional<nn::Activation> activation,
                                   const at::Tensor& residual) const {
  std::vector<int64_t> sizes = x.sizes().vec();
  at::Tensor y = product_(as_image(x), activation, residual.defined() ? as_image(residual) : at::Tensor());
  sizes.back() = y.size(1);
  return y.permute({0, 2, 3, 1}).view(sizes);
}

}  // namespace visiontorch::ops
