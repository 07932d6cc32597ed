#include "autograd/scaled_sum.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "autograd/strips.h"
#include "ops/dispatch.h"

namespace visiontorch::autograd {

using ops::table;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

Strips strips_of(const at::Tensor& x) {
  constexpr int64_t kPixels = 64;  // of a strip, at least
  return {x.size(0), x.size(2) * x.size(3), kPixels};
}

// residual, x [n, c, h, w], channels-last; factors [n, c].
class ScaledSumFunction : public torch::autograd::Function<ScaledSumFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& residual, const at::Tensor& x,
                            const at::Tensor& factors) {
    context->save_for_backward({x, factors});
    at::Tensor y = at::empty_like(x);
    const int64_t channels = x.size(1), image_size = x.size(2) * x.size(3) * channels;
    const float *added = residual.const_data_ptr<float>(), *from = x.const_data_ptr<float>(),
                *scales = factors.const_data_ptr<float>();
    float* out = y.mutable_data_ptr<float>();
    strips_of(x).for_each([&](int64_t, int64_t image, int64_t first, int64_t last) {
      const int64_t offset = image * image_size + first * channels;
      table().scaled_sum({.x = from + offset,
                          .residual = added + offset,
                          .count = last - first,
                          .channels = channels,
                          .factors = scales + image * channels,
                          .out = out + offset});
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &factors = saved[1];
    const at::Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const Strips strips = strips_of(x);
    const int64_t channels = x.size(1), image_size = strips.rows * channels;
    at::Tensor dx = at::empty_like(x), sums = at::empty({strips.images, strips.of_image, channels}, at::kFloat);
    const float *values = x.const_data_ptr<float>(), *from = gradient.const_data_ptr<float>(),
                *scales = factors.const_data_ptr<float>();
    float *out = dx.mutable_data_ptr<float>(), *sum = sums.mutable_data_ptr<float>();
    strips.for_each([&](int64_t strip, int64_t image, int64_t first, int64_t last) {
      const int64_t offset = image * image_size + first * channels;
      table().scaled_sum_gradient({.x = values + offset,
                                   .gradient = from + offset,
                                   .count = last - first,
                                   .channels = channels,
                                   .factors = scales + image * channels,
                                   .out = out + offset,
                                   .sums = sum + strip * channels});
    });
    return {gradients[0], dx, sums.sum(1)};
  }
};

bool supports_scaled_sum(const at::Tensor& residual, const at::Tensor& x) {
  auto supports = [](const at::Tensor& images) {
    return images.is_cpu() && images.scalar_type() == at::kFloat &&
           images.is_contiguous(at::MemoryFormat::ChannelsLast);
  };
  return ops::has_kernels(at::kFloat) && !at::autocast::is_autocast_enabled(at::kCPU) && supports(residual) &&
         supports(x);
}

}  // namespace

at::Tensor scaled_sum(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& factors) {
  if (!supports_scaled_sum(residual, x)) return residual + x * factors;
  const at::Tensor of_images = factors.expand({x.size(0), x.size(1), 1, 1}).flatten(1).contiguous();
  return ScaledSumFunction::apply(residual, x, of_images);
}

}  // namespace visiontorch::autograd
