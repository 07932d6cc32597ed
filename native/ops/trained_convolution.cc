#include "ops/trained_convolution.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/convolution.h"
#include "ops/packing.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

using kernels::Winograd;

namespace {

// dL/dweight [out, in, 3, 3] of a convolution of x by the gradient of its result: with V = B^T d B of each tile's
// inputs and dM = A dy A^T of its outputs' gradients, dU = sum of V^T dM and dweight = G^T dU G.
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& gradient) {
  constexpr int64_t kCache = 4 * 1024 * 1024;  // floats: V and dM of so many tiles at a time
  constexpr int64_t points = Winograd::kPoints;
  const int64_t in = x.size(1), out = gradient.size(1), height = x.size(2), width = x.size(3);
  const int64_t panel = table().layout(1, out, 1).width, panels = out / panel;
  const int64_t tiles = ((height + 3) / 4) * ((width + 3) / 4);  // of an image
  const int64_t images = std::clamp<int64_t>(kCache / (points * tiles * (in + out)), 1, x.size(0));
  const int64_t most = images * tiles;
  at::Tensor v = at::empty({points * most * in}, x.options()), m = at::empty({points * most * out}, x.options());
  at::Tensor sums = at::zeros({points, in, out}, x.options());
  for (int64_t image = 0; image < x.size(0); image += images) {
    const int64_t count = std::min(images, x.size(0) - image) * tiles, parts = (count + 7) / 8;
    auto transform = [&](const at::Tensor& from, at::Tensor& to, int64_t part) {
      const int64_t channels = from.size(1);
      return kernels::WinogradTiles{height,
                                    width,
                                    channels,
                                    from.const_data_ptr<float>() + image * height * width * channels,
                                    count * part / parts,
                                    count * (part + 1) / parts,
                                    to.mutable_data_ptr<float>(),
                                    count,
                                    panel};
    };
    parallel_tasks(parts, [&](int64_t part, int) {
      table().winograd_inputs(transform(x, v, part));
      table().winograd_gradients(transform(gradient, m, part));
    });
    parallel_tasks(points * panels, [&](int64_t task, int) {
      const int64_t point = task / panels, first = task % panels * panel;
      table().accumulate({
          .a = v.const_data_ptr<float>() + point * count * in,
          .a_stride = in,
          .rows = in,
          .b = m.const_data_ptr<float>() + (point * out + first) * count,
          .panel = panel,
          .count = count,
          .out = sums.mutable_data_ptr<float>() + point * in * out + first,
          .out_stride = out,
      });
    });
  }
  return unpack_winograd(sums);
}

// What the gradient is convolved with to give dL/dx.
at::Tensor transposed(const at::Tensor& weight) { return weight.transpose(0, 1).flip({2, 3}).contiguous(); }

class WinogradConvolution : public torch::autograd::Function<WinogradConvolution> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    return Convolution::winograd(weight, bias.value_or(at::Tensor()))(x, {});
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const at::Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx, dweight, dbias;
    if (context->needs_input_grad(0)) dx = Convolution::winograd(transposed(weight), {})(gradient, {});
    if (context->needs_input_grad(1)) dweight = weight_gradient(x, gradient);
    if (context->saved_data["bias"].toBool()) dbias = gradient.sum(at::IntArrayRef({0, 2, 3}));
    return {dx, dweight, dbias};
  }
};

}  // namespace

bool trains_convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  constexpr int64_t kLeastTiles = 32;
  if (!x.is_cpu() || x.scalar_type() != at::kFloat || at::autocast::is_autocast_enabled(at::kCPU)) return false;
  return Convolution::supports_winograd(conv) && conv.out_channels % table().lanes == 0 &&
         conv.in_channels % table().lanes == 0 &&
         x.size(0) * ((x.size(2) + 3) / 4) * ((x.size(3) + 3) / 4) >= kLeastTiles;
}

at::Tensor trained_convolution(const nn::Conv2d& conv, const at::Tensor& x) {
  std::optional<at::Tensor> bias;
  if (conv.has_bias) bias = conv.bias;
  return WinogradConvolution::apply(x.contiguous(at::MemoryFormat::ChannelsLast), conv.weight, bias);
}

}  // namespace visiontorch::ops
