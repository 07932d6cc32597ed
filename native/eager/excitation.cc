#include "eager/excitation.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>

#include "eager/activate.h"

namespace visiontorch::eager {

using nn::Activation;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Returns the gradient of x, given that of activation(x).
at::Tensor activation_gradient(const at::Tensor& gradient, const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::ReLU: return at::threshold_backward(gradient, x, 0);
    case Activation::ReLU6: return at::hardtanh_backward(gradient, x, 0, 6);
    case Activation::Hardswish: return at::hardswish_backward(gradient, x);
    case Activation::Hardsigmoid: return at::hardsigmoid_backward(gradient, x);
    case Activation::SiLU: return at::silu_backward(gradient, x);
    case Activation::Sigmoid: return at::sigmoid_backward(gradient, x.sigmoid());
    case Activation::GELU: return at::gelu_backward(gradient, x);
    case Activation::Tanh: return at::tanh_backward(gradient, x.tanh());
  }
  return gradient;
}

// Reshapes values of an image's channels so that they broadcast over its pixels.
at::Tensor for_pixels(const at::Tensor& values, const at::Tensor& images) {
  return values.to(images.scalar_type()).unsqueeze(2).unsqueeze(3);
}

class ExcitationFunction : public torch::autograd::Function<ExcitationFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight1,
                            const at::Tensor& bias1, const at::Tensor& weight2, const at::Tensor& bias2,
                            Activation activation, Activation scale_activation) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
    const at::Tensor means = x.mean(at::IntArrayRef({2, 3}), /*keepdim=*/false, at::kFloat);
    const at::Tensor hidden = at::addmm(bias1, means, weight1.flatten(1).t());
    const at::Tensor excited = activate(hidden, activation);
    const at::Tensor linear = at::addmm(bias2, excited, weight2.flatten(1).t());
    const at::Tensor scales = activate(linear, scale_activation);
    context->save_for_backward({x, weight1, weight2, means, hidden, excited, linear, scales});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    context->saved_data["scale_activation"] = static_cast<int64_t>(scale_activation);
    return x * for_pixels(scales, x);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight1 = saved[1], &weight2 = saved[2], &means = saved[3], &hidden = saved[4],
                     &excited = saved[5], &linear = saved[6], &scales = saved[7];
    auto activation = [&](const char* name) { return static_cast<Activation>(context->saved_data.at(name).toInt()); };
    const at::Tensor gradient = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor of_scales = (gradient * x).sum(at::IntArrayRef({2, 3}), /*keepdim=*/false, at::kFloat);
    const at::Tensor of_linear = activation_gradient(of_scales, linear, activation("scale_activation"));
    const at::Tensor of_hidden =
        activation_gradient(of_linear.mm(weight2.flatten(1)), hidden, activation("activation"));
    const at::Tensor of_means = of_hidden.mm(weight1.flatten(1)).div_(x.size(2) * x.size(3));
    at::Tensor dx = at::empty_like(gradient);
    at::addcmul_out(dx, for_pixels(of_means, x), gradient, for_pixels(scales, x));
    return {dx,
            of_hidden.t().mm(means).view(weight1.sizes()),
            of_hidden.sum(0),
            of_linear.t().mm(excited).view(weight2.sizes()),
            of_linear.sum(0),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor squeeze_excitation(const nn::SqueezeExcitation& block, const at::Tensor& x) {
  return ExcitationFunction::apply(x, block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias,
                                   block.activation, block.scale_activation);
}

}  // namespace visiontorch::eager
