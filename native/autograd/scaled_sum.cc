#include "autograd/scaled_sum.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::autograd {

using ops::table;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// The pixels of a batch, cut into parts that the threads share. They do not depend on the number of threads.
struct Parts {
  int64_t images, pixels, of_image;

  explicit Parts(const at::Tensor& x) : images(x.size(0)), pixels(x.size(2) * x.size(3)) {
    constexpr int64_t kParts = 32, kPixels = 64;  // at least this many parts, of at least this many pixels
    of_image = std::clamp<int64_t>((kParts + images - 1) / images, 1, std::max<int64_t>(1, pixels / kPixels));
  }

  // work(part, image, first pixel of the batch, pixels)
  template <class Work>
  void for_each(const Work& work) const {
    parallel_tasks(images * of_image, [&](int64_t part, int) {
      const int64_t image = part / of_image, index = part % of_image;
      const int64_t first = pixels * index / of_image, last = pixels * (index + 1) / of_image;
      work(part, image, image * pixels + first, last - first);
    });
  }
};

// residual, x [n, c, h, w], channels-last; factors [n, c].
class ScaledSumFunction : public torch::autograd::Function<ScaledSumFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& residual, const at::Tensor& x,
                            const at::Tensor& factors) {
    context->save_for_backward({x, factors});
    at::Tensor y = at::empty_like(x);
    const int64_t channels = x.size(1);
    const float *added = residual.const_data_ptr<float>(), *from = x.const_data_ptr<float>(),
                *scales = factors.const_data_ptr<float>();
    float* out = y.mutable_data_ptr<float>();
    Parts(x).for_each([&](int64_t, int64_t image, int64_t first, int64_t count) {
      table().scaled_sum({.x = from + first * channels,
                          .residual = added + first * channels,
                          .count = count,
                          .channels = channels,
                          .factors = scales + image * channels,
                          .out = out + first * channels});
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &factors = saved[1];
    const at::Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    const Parts parts(x);
    const int64_t channels = x.size(1);
    at::Tensor dx = at::empty_like(x), sums = at::empty({parts.images, parts.of_image, channels}, at::kFloat);
    const float *values = x.const_data_ptr<float>(), *from = gradient.const_data_ptr<float>(),
                *scales = factors.const_data_ptr<float>();
    float *out = dx.mutable_data_ptr<float>(), *sum = sums.mutable_data_ptr<float>();
    parts.for_each([&](int64_t part, int64_t image, int64_t first, int64_t count) {
      table().scaled_sum_gradient({.x = values + first * channels,
                                   .gradient = from + first * channels,
                                   .count = count,
                                   .channels = channels,
                                   .factors = scales + image * channels,
                                   .out = out + first * channels,
                                   .sums = sum + part * channels});
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
