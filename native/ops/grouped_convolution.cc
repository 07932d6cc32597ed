#include "ops/grouped_convolution.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

namespace {

// With fewer registers, as in AVX2, an indirect product is faster.
constexpr int64_t kLanes = 16;

}  // namespace

bool GroupedConvolution::supports(const nn::Conv2d& conv, at::ScalarType type) {
  const int64_t depth = conv.in_channels / conv.groups, columns = conv.out_channels / conv.groups;
  return has_kernels(type) && type == at::kFloat && conv.groups > 1 && conv.kernel_size == 3 && conv.padding == 1 &&
         conv.dilation == 1 && (conv.stride == 1 || conv.stride == 2) && depth >= 8 &&
         depth <= kernels::kGroupedDepth && columns == kLanes && table().lanes == kLanes;
}

GroupedConvolution::GroupedConvolution(const nn::Conv2d& conv, const Affine& layer)
    : groups_(conv.groups),
      depth_(conv.in_channels / conv.groups),
      stride_(conv.stride),
      weights_(layer.scaled().view({groups_, kLanes, depth_, 3, 3}).permute({0, 3, 2, 4, 1}).contiguous()),
      bias_(layer.bias.defined() ? layer.bias.contiguous() : at::zeros({conv.out_channels}, at::kFloat)) {}

at::Tensor GroupedConvolution::operator()(const at::Tensor& input, std::optional<nn::Activation> activation) const {
  constexpr int64_t kCache = 8 * 1024;  // floats of the image at a time
  constexpr int64_t kTask = 100'000;    // multiply-adds of vectors
  const at::Tensor x = input.to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t images = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t out_height = (height - 1) / stride_ + 1, out_width = (width - 1) / stride_ + 1;
  const int64_t out_channels = groups_ * kLanes;
  at::Tensor y = at::empty({images, out_channels, out_height, out_width},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const int64_t row = (width + 2) * kernels::kGroupedDepth;
  const int64_t most = std::clamp<int64_t>((kCache / row - 3) / stride_ + 1, 1, out_height);
  const int64_t strips = (out_height + most - 1) / most;
  const int64_t scratch_size = kernels::grouped_scratch(most, stride_, width);
  at::Tensor scratch = at::empty({at::get_num_threads(), scratch_size}, at::kFloat);
  float* out = y.mutable_data_ptr<float>();
  float* memory = scratch.mutable_data_ptr<float>();
  const int64_t units = images * strips * groups_;
  const int64_t unit = out_height * out_width * 9 * depth_ / strips, least = kTask / unit + 1;
  const int64_t tasks = std::clamp<int64_t>(units / least, 1, 8 * at::get_num_threads());
  parallel_tasks(tasks, [&](int64_t task, int thread) {
    for (int64_t i = units * task / tasks; i < units * (task + 1) / tasks; i++) {
      const int64_t group = i % groups_, strip = i / groups_ % strips, image = i / groups_ / strips;
      table().grouped({.image = x.const_data_ptr<float>() + image * height * width * channels + group * depth_,
                       .height = height,
                       .width = width,
                       .pixel_stride = channels,
                       .depth = depth_,
                       .stride = stride_,
                       .weights = weights_.const_data_ptr<float>() + group * weights_.stride(0),
                       .bias = bias_.const_data_ptr<float>() + group * kLanes,
                       .first = out_height * strip / strips,
                       .last = out_height * (strip + 1) / strips,
                       .out_width = out_width,
                       .out = out + image * out_height * out_width * out_channels + group * kLanes,
                       .out_stride = out_channels,
                       .activation = kind(activation)},
                      memory + thread * scratch_size);
    }
  });
  return y;
}

}  // namespace visiontorch::ops
