#include "ops/preactivation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

bool Preactivation::supports(at::ScalarType type) { return has_kernels(type); }

Preactivation::Preactivation(const nn::BatchNorm2d& norm, std::optional<nn::Activation> activation)
    : activation_(kind(activation)) {
  const at::Tensor scale = norm.weight.detach() / (norm.running_var.to(at::kDouble) + norm.eps).sqrt();
  scale_ = scale.to(at::kFloat);
  offset_ = (norm.bias.detach() - norm.running_mean * scale).to(at::kFloat);
}

template <class T>
void Preactivation::operator()(const T* const* rows, int64_t count, int64_t taps, T* out, int64_t stride) const {
  table().of<T>().preactivate({.rows = rows,
                               .count = count,
                               .taps = taps,
                               .channels = scale_.size(0),
                               .scale = scale_.const_data_ptr<float>(),
                               .offset = offset_.const_data_ptr<float>(),
                               .activation = activation_,
                               .out = out,
                               .stride = stride});
}

at::Tensor Preactivation::operator()(const at::Tensor& input) const {
  constexpr int64_t kGrain = 16384;  // values per task
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t channels = x.size(1), count = x.numel() / channels;
  at::Tensor y = at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::ChannelsLast));
  with_type(x.scalar_type(), [&]<class T>(T) {
    T* out = mutable_data<T>(y);
    parallel_ranges(count, kGrain / channels + 1, [&](int64_t begin, int64_t end) {
      std::vector<const T*> rows(end - begin);
      for (int64_t m = begin; m < end; m++) rows[m - begin] = data<T>(x) + m * channels;
      (*this)(rows.data(), end - begin, 1, out + begin * channels, channels);
    });
  });
  return y;
}

bool PreactivatedProjection::supports(const nn::Conv2d& conv, std::optional<nn::Activation> activation,
                                      const std::optional<nn::AvgPool2d>& pool, at::ScalarType type) {
  const bool in_pairs = type == at::kFloat || conv.in_channels % 2 == 0;  // bfloat16 is multiplied in pairs
  return has_kernels(type) && in_pairs && conv.is_pointwise() && (!pool || (pool->padding == 0 && !activation));
}

PreactivatedProjection::PreactivatedProjection(Preactivation before, const Affine& layer,
                                               std::optional<nn::Activation> activation,
                                               const std::optional<nn::AvgPool2d>& pool, at::ScalarType type)
    : before_(std::move(before)),
      activation_(activation),
      windows_(pool ? Windows{pool->kernel_size, pool->kernel_size, pool->stride, 0, 0} : Windows{1, 1, 1, 0, 0}),
      type_(type),
      out_channels_(layer.weight.size(0)),
      packed_(pack(layer, type)) {}

at::Tensor PreactivatedProjection::operator()(const at::Tensor& input) const {
  const at::Tensor typed = input.to(type_);
  const at::Tensor x = typed.stride(1) == 1 ? typed : typed.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t height = (x.size(2) - windows_.height) / windows_.stride + 1;
  const int64_t width = (x.size(3) - windows_.width) / windows_.stride + 1;
  at::Tensor y =
      at::empty({x.size(0), out_channels_, height, width}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  with_type(type_, [&]<class T>(T) { run<T>(x, y); });
  return y;
}

template <class T>
void PreactivatedProjection::run(const at::Tensor& x, at::Tensor& y) const {
  const int64_t channels = x.size(1), count = y.numel() / out_channels_, stride = channels + kernels::kPad;
  const WindowRows<T> windows(windows_, false, {data<T>(x), x.size(2), x.size(3), pixel_stride(x)},
                              {y.size(2), y.size(3)});
  // Each task multiplies its rows by all panels, since it has them alone.
  kernels::Panels whole = packed_.panels;
  whole.width *= std::exchange(whole.count, 1);
  const int64_t blocks = Partition(count, stride, whole, table().tile_rows(packed_.panels)).blocks;
  const int64_t most = (count + blocks - 1) / blocks;
  at::Tensor scratch =
      at::empty({at::get_num_threads(), most * stride}, y.options().memory_format(at::MemoryFormat::Contiguous));
  T* out = mutable_data<T>(y);
  T* memory = mutable_data<T>(scratch);
  parallel_tasks(blocks, [&](int64_t block, int thread) {
    const int64_t begin = count * block / blocks, rows = count * (block + 1) / blocks - begin;
    T* activated = memory + thread * most * stride;
    before_(windows.of(begin, rows).pointers.data(), rows, windows.taps(), activated, stride);
    std::vector<const T*> pointers(rows);
    for (int64_t m = 0; m < rows; m++) pointers[m] = activated + m * stride;
    gemm(kernels::IndirectGemm<T, T>{.rows = pointers.data(),
                                     .count = rows,
                                     .taps = 1,
                                     .depth = channels,
                                     .panels = packed_.panels,
                                     .weights = data<T>(packed_.weights),
                                     .bias = packed_.bias.const_data_ptr<float>(),
                                     .first = 0,
                                     .last = packed_.panels.count,
                                     .out = out + begin * out_channels_,
                                     .stride = out_channels_,
                                     .epilogue = {kind(activation_)}});
  });
}

}  // namespace visiontorch::ops
