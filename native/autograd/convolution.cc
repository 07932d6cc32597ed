#include "autograd/convolution.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "autograd/batch_norm.h"
#include "autograd/weight_gradient.h"
#include "ops/convolution.h"
#include "ops/dispatch.h"
#include "ops/packing.h"
#include "ops/thresholds.h"
#include "runtime/gradient_place.h"

namespace visiontorch::autograd {

using ops::Affine;
using ops::Convolution;
using ops::table;
using ops::Taps;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Returns whether Winograd filtering computes the gradients. In bfloat16, it rounds the transformed values: the error
// is about a hundredth of a gradient's standard deviation, while autocast's gradients differ from float32's by a tenth
// or more.
bool filters_backward(const nn::Conv2d& conv, const at::Tensor& x) {
  return Convolution::supports_winograd(conv) && conv.out_channels % table().lanes == 0 &&
         conv.in_channels % table().lanes == 0 &&
         x.size(0) * ((x.size(2) + 3) / 4) * ((x.size(3) + 3) / 4) >= ops::thresholds::kWinogradTilesTraining;
}

// Returns whether it computes the outputs, too. There, transformed values stay float32, because PyTorch's outputs are
// more exact than its gradients.
bool filters_forward(const nn::Conv2d& conv, const at::Tensor& x) {
  const int64_t least = x.scalar_type() == at::kFloat ? table().lanes : ops::thresholds::kWinogradChannelsBFloat16;
  return filters_backward(conv, x) && std::min(conv.in_channels, conv.out_channels) >= least;
}

at::Tensor memory_for_gradient(const at::Tensor& weight) {
  at::Tensor place = take_gradient_place(weight);
  if (place.defined()) return place;
  return at::empty(weight.sizes(), at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
}

bool is_narrow(const nn::Conv2d& conv) {
  return std::min(conv.in_channels, conv.out_channels) < ops::thresholds::kGradientChannels;
}

// x -> {conv(x), x}: other users of x take it from here, so that backward() can add their gradient to that of x while
// computing it.
class ConvolutionFunction : public torch::autograd::Function<ConvolutionFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                               const std::optional<at::Tensor>& bias, const nn::Conv2d& conv) {
    context->save_for_backward({x, weight});
    context->set_materialize_grads(false);  // x may have no other user, and so no gradient from one
    context->saved_data["stride"] = conv.stride;
    context->saved_data["padding"] = conv.padding.height;
    context->saved_data["bias"] = bias.has_value();
    const Affine layer{weight, bias.value_or(at::Tensor()), {}};
    auto convolution = [&] {
      if (filters_forward(conv, x)) return Convolution::winograd(layer, x.scalar_type());
      if (x.scalar_type() == at::kBFloat16) return Convolution::product(conv, layer, at::kBFloat16);
      return Convolution(conv, layer, x.sizes(), at::kFloat);
    };
    return {convolution()(x, {}), x};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const nn::Conv2d conv{.in_channels = weight.size(1),
                          .out_channels = weight.size(0),
                          .kernel_size = weight.size(2),
                          .stride = context->saved_data["stride"].toInt(),
                          .padding = context->saved_data["padding"].toInt()};
    auto in_order = [&](const at::Tensor& values) {
      return values.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    };
    const at::Tensor gradient = in_order(gradients[0]);
    // The result overwrites it. Its other readers are done, because `gradient` depends on them.
    const at::Tensor added = gradients[1].defined() ? in_order(gradients[1]) : at::Tensor();
    at::Tensor dx, dweight, dbias;
    if (context->needs_input_grad(1)) {  // first, because computing dx evicts x and gradient from the cache
      if (filters_backward(conv, x)) {
        dweight = memory_for_gradient(weight);
        winograd_weight_gradient(x, gradient, dweight);
      } else if (is_narrow(conv)) {
        dweight = std::get<1>(gradients_of(gradient, x, weight, conv, {false, true, false}));
      } else {
        dweight = memory_for_gradient(weight);
        weight_gradient(x, gradient, conv, dweight);
      }
    }
    if (context->needs_input_grad(0)) {
      if (filters_backward(conv, x)) {
        dx = Convolution::winograd({weight.transpose(0, 1), {}, {}}, x.scalar_type(), Taps::Reversed, x.scalar_type())(
            gradient, {}, added);
      } else if (is_narrow(conv)) {
        dx = std::get<0>(gradients_of(gradient, x, weight, conv, {true, false, false}));
        if (added.defined()) dx = dx + added;
      } else {
        dx = Convolution::input_gradient(conv, weight, gradient, x.sizes(), added, sums_of_gradient(x));
      }
    }
    if (context->saved_data["bias"].toBool())
      dbias = gradient.sum(at::IntArrayRef({0, 2, 3}), /*keepdim=*/false, at::kFloat);
    return {dx, dweight, dbias, at::Tensor()};
  }

 private:
  // oneDNN's gradients of those of x, weight and bias that the mask selects.
  static std::tuple<at::Tensor, at::Tensor, at::Tensor> gradients_of(const at::Tensor& gradient, const at::Tensor& x,
                                                                     const at::Tensor& weight, const nn::Conv2d& conv,
                                                                     std::array<bool, 3> mask) {
    const std::vector<int64_t> stride(2, conv.stride), padding(2, conv.padding.height), dilation(2, 1);
    return at::convolution_backward(gradient, x, weight, at::OptionalIntArrayRef(), stride, padding, dilation,
                                    /*transposed=*/false, /*output_padding=*/{0, 0}, /*groups=*/1, mask);
  }
};

}  // namespace

bool supports_convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  if (!x.is_cpu() || conv.groups > 1 || !conv.kernel_size.is_square() || !conv.padding.is_square()) return false;
  if (at::autocast::is_autocast_enabled(at::kCPU))
    return !is_narrow(conv) && conv.out_channels % 2 == 0 && Convolution::supports(conv, at::kBFloat16);
  return x.scalar_type() == at::kFloat && Convolution::supports(conv, at::kFloat);
}

at::Tensor convolution(const nn::Conv2d& conv, const at::Tensor& x) { return forked_convolution(conv, x).first; }

std::pair<at::Tensor, at::Tensor> forked_convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  std::optional<at::Tensor> bias;
  if (conv.has_bias) bias = conv.bias;
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  const at::Tensor images = (autocast ? x.to(at::kBFloat16) : x).contiguous(at::MemoryFormat::ChannelsLast);
  const variable_list results = ConvolutionFunction::apply(images, conv.weight, bias, conv);
  return {results[0], results[1]};
}

}  // namespace visiontorch::autograd
