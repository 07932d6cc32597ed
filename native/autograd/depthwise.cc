#include "autograd/depthwise.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "autograd/batch_norm.h"
#include "autograd/strips.h"
#include "ops/dispatch.h"

namespace visiontorch::autograd {

using kernels::DepthwiseTraining;
using ops::data;
using ops::mutable_data;
using ops::RowsDone;
using ops::table;
using ops::with_type;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// [c, 1, k, k] -> [k * k][whole vectors].
at::Tensor by_taps(const at::Tensor& weight) {
  const int64_t channels = weight.size(0), lanes = table().lanes;
  const at::Tensor taps = weight.flatten(1).t();
  at::Tensor result = at::zeros({taps.size(0), (channels + lanes - 1) / lanes * lanes}, at::kFloat);
  result.narrow(1, 0, channels).copy_(taps);
  return result;
}

// [c] -> [whole vectors]; zeros for an undefined bias.
at::Tensor by_vectors(const at::Tensor& bias, const at::Tensor& weights) {
  at::Tensor result = at::zeros({weights.size(1)}, at::kFloat);
  if (bias.defined()) result.narrow(0, 0, bias.size(0)).copy_(bias);
  return result;
}

constexpr int64_t kRows = 4;  // of a strip, at least

int64_t out_size(int64_t size, int64_t stride) { return (size - 1) / stride + 1; }

// Returns the arguments that all kernels share for a convolution of these images.
template <class T>
class Layer {
 public:
  Layer(const at::Tensor& x, const at::Tensor& weights, const at::Tensor& bias, int64_t kernel_size, int64_t stride)
      : x_(x), weights_(weights), bias_(bias), kernel_size_(kernel_size), stride_(stride), zeros_(x.size(1)) {}

  DepthwiseTraining<T> rows(int64_t image, int64_t first, int64_t last, std::vector<T>& nowhere) const {
    nowhere.resize(x_.size(1));
    return {.height = x_.size(2),
            .width = x_.size(3),
            .channels = x_.size(1),
            .kernel_size = kernel_size_,
            .stride = stride_,
            .weights = weights_.const_data_ptr<float>(),
            .weight_stride = weights_.size(1),
            .bias = bias_.const_data_ptr<float>(),
            .x = data<T>(x_) + image * x_.stride(0),
            .first = first,
            .last = last,
            .zeros = zeros_.data(),
            .nowhere = nowhere.data()};
  }

 private:
  const at::Tensor &x_, &weights_, &bias_;
  int64_t kernel_size_, stride_;
  std::vector<T> zeros_;
};

class DepthwiseFunction : public torch::autograd::Function<DepthwiseFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, int64_t stride) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    const at::Tensor weights = by_taps(weight), sums = by_vectors(bias.value_or(at::Tensor()), weights);
    context->saved_data["bias"] = bias.has_value();
    at::Tensor y = at::empty({x.size(0), x.size(1), out_size(x.size(2), stride), out_size(x.size(3), stride)},
                             x.options().memory_format(at::MemoryFormat::ChannelsLast));
    with_type(x.scalar_type(), [&]<class T>(T) {
      T* out = mutable_data<T>(y);
      const Layer<T> layer(x, weights, sums, weight.size(2), stride);
      Strips(y.size(0), y.size(2), kRows).for_each([&](int64_t, int64_t image, int64_t first, int64_t last) {
        std::vector<T> nowhere;
        DepthwiseTraining<T> part = layer.rows(image, first, last, nowhere);
        part.y = out + image * y.stride(0);
        table().of<T>().depthwise_training(part);
      });
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], weights = by_taps(weight), zeros = by_vectors({}, weights);
    const int64_t stride = context->saved_data["stride"].toInt(), height = x.size(2), width = x.size(3);
    const at::Tensor gradient = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const Strips strips(gradient.size(0), gradient.size(2), kRows);
    at::Tensor dx = at::empty_like(x);
    at::Tensor parts = at::empty({strips.count(), weights.size(0), weights.size(1)}, at::kFloat);
    constexpr int64_t kPixels = 512;  // input pixels at a time, which stay in the cache until `done` reads them
    const int64_t at_once = std::max<int64_t>(1, kPixels / (width * stride));
    const RowsDone done = sums_of_gradient(x);
    with_type(x.scalar_type(), [&]<class T>(T) {
      T* to = mutable_data<T>(dx);
      float* sums = parts.mutable_data_ptr<float>();
      const Layer<T> layer(x, weights, zeros, weight.size(2), stride);
      strips.for_each([&](int64_t strip, int64_t image, int64_t first, int64_t last) {
        std::vector<T> nowhere;
        DepthwiseTraining<T> part = layer.rows(image, first, last, nowhere);
        part.gradient = data<T>(gradient) + image * gradient.stride(0);
        part.dx = to + image * dx.stride(0);
        part.weight_gradients = sums + strip * weights.numel();
        std::fill_n(part.weight_gradients, weights.numel(), 0.0F);
        for (int64_t next = first; next < last; next = part.last) {
          part.first = next;
          part.last = std::min(last, next + at_once);
          table().of<T>().depthwise_gradients(part);
          const int64_t top = next * stride, bottom = std::min(height, part.last * stride);
          if (done) done(dx, (image * height + top) * width, (image * height + bottom) * width);
        }
      });
    });
    const at::Tensor sum = parts.sum(0).narrow(1, 0, weight.size(0));
    at::Tensor bias;
    if (context->saved_data["bias"].toBool()) bias = gradient.sum({0, 2, 3}, false, at::kFloat);
    return {dx, sum.t().contiguous().view(weight.sizes()), bias, at::Tensor()};
  }
};

}  // namespace

bool supports_depthwise(const nn::Conv2d& conv, const at::Tensor& x) {
  const at::ScalarType type = at::autocast::is_autocast_enabled(at::kCPU) ? at::kBFloat16 : x.scalar_type();
  return x.is_cpu() && ops::has_kernels(type) && conv.is_depthwise() && conv.kernel_size.is_square() &&
         kernels::supports_depthwise(conv.kernel_size.height, conv.stride) &&
         conv.padding == conv.kernel_size.height / 2 && conv.dilation == 1;
}

at::Tensor depthwise_convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  const at::Tensor images = (autocast ? x.to(at::kBFloat16) : x).contiguous(at::MemoryFormat::ChannelsLast);
  const auto bias = conv.has_bias ? std::optional(conv.bias) : std::nullopt;
  return DepthwiseFunction::apply(images, conv.weight, bias, conv.stride);
}

}  // namespace visiontorch::autograd
