#include "ops/pooling.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "runtime/parallel.h"
#include "runtime/simd.h"

namespace visiontorch::ops {

namespace {

VISIONTORCH_SIMD void keep_larger(const float* x, int64_t channels, float* y) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
}

// bfloat16 is the upper half of a float32. On its bits, not its class: only so does the compiler vectorise.
VISIONTORCH_SIMD void keep_larger(const uint16_t* x, int64_t channels, uint16_t* y) {
  auto value = [](uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); };
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; c++) y[c] = value(x[c]) > value(y[c]) ? x[c] : y[c];
}

struct Plane {
  int64_t height, width, channels;
};

// One output row: for each pixel the largest value of its window, as far as that lies inside the image.
template <class T>
void pool_row(const T* image, const Plane& in, const nn::MaxPool2d& pool, int64_t out_row, int64_t out_width, T* y) {
  const int64_t top = out_row * pool.stride - pool.padding;
  const int64_t first_row = std::max<int64_t>(top, 0), last_row = std::min(top + pool.kernel_size, in.height);
  for (int64_t column = 0; column < out_width; column++, y += in.channels) {
    const int64_t left = column * pool.stride - pool.padding;
    const int64_t first = std::max<int64_t>(left, 0), last = std::min(left + pool.kernel_size, in.width);
    auto pixel = [&](int64_t row, int64_t x) { return image + (row * in.width + x) * in.channels; };
    std::copy_n(pixel(first_row, first), in.channels, y);
    for (int64_t row = first_row; row < last_row; row++)
      for (int64_t x = first; x < last; x++) keep_larger(pixel(row, x), in.channels, y);
  }
}

template <class T>
void pool_images(const at::Tensor& x, const nn::MaxPool2d& pool, at::Tensor& y) {
  const Plane in{x.size(2), x.size(3), x.size(1)};
  const int64_t out_height = y.size(2), out_width = y.size(3);
  const auto* source = static_cast<const T*>(x.const_data_ptr());
  auto* target = static_cast<T*>(y.mutable_data_ptr());
  parallel_tasks(x.size(0) * out_height, [&](int64_t row, int) {
    pool_row(source + row / out_height * in.height * in.width * in.channels, in, pool, row % out_height, out_width,
             target + row * out_width * in.channels);
  });
}

template <class T>
VISIONTORCH_SIMD void add_pixel(const T* x, int64_t channels, float* sum) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; c++) sum[c] += static_cast<float>(x[c]);
}

template <class T>
void average_images(const at::Tensor& x, at::Tensor& y) {
  const int64_t channels = x.size(1), pixels = x.size(2) * x.size(3);
  const T* source = x.const_data_ptr<T>();
  T* target = y.mutable_data_ptr<T>();
  parallel_tasks(x.size(0), [&](int64_t image, int) {
    std::vector<float> sum(channels);
    for (int64_t i = 0; i < pixels; i++) add_pixel(source + (image * pixels + i) * channels, channels, sum.data());
    for (int64_t c = 0; c < channels; c++)
      target[image * channels + c] = static_cast<T>(sum[c] / static_cast<float>(pixels));
  });
}

}  // namespace

at::Tensor average_pool(const at::Tensor& input) {
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor y = at::empty({x.size(0), x.size(1), 1, 1}, x.options());
  if (x.scalar_type() == at::kBFloat16) {
    average_images<at::BFloat16>(x, y);
  } else {
    average_images<float>(x, y);
  }
  return y;
}

at::Tensor max_pool(const at::Tensor& input, const nn::MaxPool2d& pool) {
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  auto size = [&](int64_t in) { return (in + 2 * pool.padding - pool.kernel_size) / pool.stride + 1; };
  at::Tensor y = at::empty({x.size(0), x.size(1), size(x.size(2)), size(x.size(3))},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  if (x.scalar_type() == at::kBFloat16) {
    pool_images<uint16_t>(x, pool, y);
  } else {
    pool_images<float>(x, pool, y);
  }
  return y;
}

}  // namespace visiontorch::ops
