#include "ops/pooling.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

bool supports_pooling(at::ScalarType type) { return has_kernels(type); }

at::Tensor average_pool(const at::Tensor& input) {
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  constexpr int64_t kChannels = 64;  // per task, if there are enough
  const int64_t channels = x.size(1), pixels = x.size(2) * x.size(3);
  const int64_t parts = std::clamp<int64_t>(channels / kChannels, 1, at::get_num_threads());
  at::Tensor y = at::empty({x.size(0), channels, 1, 1}, x.options());
  with_type(x.scalar_type(), [&]<class T>(T) {
    T* out = mutable_data<T>(y);
    parallel_tasks(x.size(0) * parts, [&](int64_t task, int) {
      const int64_t image = task / parts, first = channels * (task % parts) / parts;
      table().of<T>().pixel_mean({.x = data<T>(x) + image * pixels * channels + first,
                                  .pixels = pixels,
                                  .stride = channels,
                                  .channels = channels * (task % parts + 1) / parts - first,
                                  .out = out + image * channels + first});
    });
  });
  return y;
}

at::Tensor mean_of_rows(const at::Tensor& sums, int64_t width) {
  const int64_t height = sums.size(1), channels = sums.size(2);
  const float pixels = static_cast<float>(height * width);
  at::Tensor means = at::empty({sums.size(0), channels}, at::kFloat);
  const auto* rows = sums.const_data_ptr<float>();
  auto* out = means.mutable_data_ptr<float>();
  parallel_tasks(sums.size(0), [&](int64_t image, int) {
    float* mean = out + image * channels;
    std::fill_n(mean, channels, 0.F);
    for (int64_t y = 0; y < height; y++)
      for (int64_t c = 0; c < channels; c++) mean[c] += rows[(image * height + y) * channels + c];
    for (int64_t c = 0; c < channels; c++) mean[c] /= pixels;
  });
  return means;
}

at::Tensor max_pool(const at::Tensor& input, const nn::MaxPool2d& pool) {
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  const nn::Shape shape = pool.output_shape({x.size(1), x.size(2), x.size(3)});
  const int64_t channels = shape[0], out_height = shape[1], out_width = shape[2];
  const int64_t image_size = x.size(2) * x.size(3) * channels;
  at::Tensor y = at::empty({x.size(0), channels, out_height, out_width},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  with_type(x.scalar_type(), [&]<class T>(T) {
    T* out = mutable_data<T>(y);
    parallel_tasks(x.size(0) * out_height, [&](int64_t row, int) {
      table().of<T>().max_pool_row({.image = data<T>(x) + row / out_height * image_size,
                                    .height = x.size(2),
                                    .width = x.size(3),
                                    .channels = channels,
                                    .kernel_size = pool.kernel_size,
                                    .stride = pool.stride,
                                    .padding = pool.padding,
                                    .row = row % out_height,
                                    .out_width = out_width,
                                    .out = out + row * out_width * channels});
    });
  });
  return y;
}

}  // namespace visiontorch::ops
