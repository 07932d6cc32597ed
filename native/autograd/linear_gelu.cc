#include "autograd/linear_gelu.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::autograd {

using ops::table;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

constexpr int64_t kRows = 64;  // of a task, at least

// Returns whether nobody else holds the tensor's values, so that they may be overwritten.
bool is_unshared(const at::Tensor& tensor) { return tensor.use_count() == 1 && tensor.storage().use_count() == 1; }

// x [rows, in], weight [out, in] and bias [out] -> [rows, out].
class LinearGeluFunction : public torch::autograd::Function<LinearGeluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias) {
    const at::Tensor product = at::mm(x, weight.t());
    context->save_for_backward({x, weight, bias, product});
    at::Tensor y = at::empty_like(product);
    const int64_t channels = y.size(1);
    const float *from = product.const_data_ptr<float>(), *biases = bias.const_data_ptr<float>();
    float* out = y.mutable_data_ptr<float>();
    parallel_ranges(y.size(0), kRows, [&](int64_t begin, int64_t end) {
      table().bias_gelu({.x = from + begin * channels,
                         .count = end - begin,
                         .channels = channels,
                         .bias = biases,
                         .out = out + begin * channels});
    });
    return y;
  }

  // Takes the gradients by reference, because a copy would share them.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &product = saved[3];
    const bool overwrites = is_unshared(gradients[0]);
    const at::Tensor gradient = gradients[0].contiguous();
    at::Tensor dproduct = overwrites ? gradient : at::empty_like(gradient), dx, dweight, dbias;
    const at::Tensor sums = differentiate(product, gradient, bias, dproduct);
    if (context->needs_input_grad(0)) dx = at::mm(dproduct, weight);
    if (context->needs_input_grad(1)) dweight = at::mm(dproduct.t(), x);
    if (context->needs_input_grad(2)) dbias = sums.sum(0);
    return {dx, dweight, dbias};
  }

 private:
  // Writes the gradient of the product, and returns the sums of its rows in parts, which do not depend on the number of
  // threads.
  static at::Tensor differentiate(const at::Tensor& product, const at::Tensor& gradient, const at::Tensor& bias,
                                  at::Tensor& result) {
    constexpr int64_t kParts = 64;  // at most
    const int64_t rows = result.size(0), channels = result.size(1);
    const int64_t parts = std::clamp<int64_t>(rows / kRows, 1, kParts);
    at::Tensor sums = at::empty({parts, channels}, at::kFloat);
    const float *x = product.const_data_ptr<float>(), *from = gradient.const_data_ptr<float>(),
                *biases = bias.const_data_ptr<float>();
    float *out = result.mutable_data_ptr<float>(), *sum = sums.mutable_data_ptr<float>();
    parallel_tasks(parts, [&](int64_t part, int) {
      const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts;
      table().bias_gelu_gradient({.x = x + begin * channels,
                                  .gradient = from + begin * channels,
                                  .count = end - begin,
                                  .channels = channels,
                                  .bias = biases,
                                  .out = out + begin * channels,
                                  .sums = sum + part * channels});
    });
    return sums;
  }
};

}  // namespace

bool supports_linear_gelu(const nn::Linear& linear, const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && !at::autocast::is_autocast_enabled(at::kCPU) &&
         ops::has_kernels(at::kFloat) && linear.has_bias;
}

at::Tensor linear_gelu(const nn::Linear& linear, const at::Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = linear.out_features;
  return LinearGeluFunction::apply(x.reshape({-1, linear.in_features}), linear.weight, linear.bias).view(sizes);
}

}  // namespace visiontorch::autograd
