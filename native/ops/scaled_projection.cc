#include "ops/scaled_projection.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

bool ScaledProjection::supports(const nn::Conv2d& conv, at::ScalarType type) {
  const bool in_pairs = type == at::kFloat || conv.in_channels % 2 == 0;  // bfloat16 is multiplied in pairs
  return has_kernels(type) && in_pairs && conv.is_pointwise();
}

ScaledProjection::ScaledProjection(const Affine& layer, at::ScalarType type)
    : type_(type), out_channels_(layer.weight.size(0)), packed_(pack(layer, type)) {}

at::Tensor ScaledProjection::operator()(at::Tensor x, const at::Tensor& factors, const at::Tensor& residual,
                                        std::optional<nn::Activation> activation) const {
  at::Tensor y = residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast)
                                    : at::empty({x.size(0), out_channels_, x.size(2), x.size(3)},
                                                x.options().memory_format(at::MemoryFormat::ChannelsLast));
  with_type(type_, [&]<class T>(T) { run<T>(x, factors, y, residual.defined(), kind(activation)); });
  return y;
}

template <class T>
void ScaledProjection::run(at::Tensor& x, const at::Tensor& factors, at::Tensor& y, bool adds,
                           kernels::Activation activation) const {
  constexpr int64_t kTiles = 4;  // least number of tiles per task
  const int64_t channels = x.size(1), pixels = x.size(2) * x.size(3), rows = x.size(0) * pixels;
  const int64_t threads = at::get_num_threads(), width = packed_.panels.width;
  T* in = mutable_data<T>(x);
  T* out = mutable_data<T>(y);
  const float* scales = factors.const_data_ptr<float>();

  // Multiplies some channels of some rows.
  auto multiply = [&]<class Out>(int64_t begin, int64_t end, int64_t first, int64_t last, const float* bias, Out* to,
                                 const kernels::Epilogue<Out>& epilogue) {
    std::vector<const T*> pointers(end - begin);
    for (int64_t row = begin, next = begin; row < end; row = next) {
      const int64_t image = row / pixels;
      next = std::min(end, (image + 1) * pixels);
      table().of<T>().scale_pixels({.x = in + row * channels + first,
                                    .pixels = next - row,
                                    .stride = channels,
                                    .channels = last - first,
                                    .factors = scales + image * channels + first});
      for (; row < next; row++) pointers[row - begin] = in + row * channels + first;
    }
    gemm(kernels::IndirectGemm<T, Out>{.rows = pointers.data(),
                                       .count = end - begin,
                                       .taps = 1,
                                       .depth = last - first,
                                       .panels = packed_.panels,
                                       .weights = data<T>(packed_.weights) + first * width,
                                       .bias = bias,
                                       .first = 0,
                                       .last = packed_.panels.count,
                                       .out = to,
                                       .stride = out_channels_,
                                       .epilogue = epilogue});
  };
  const float* bias = packed_.bias.const_data_ptr<float>();

  // With few rows, most of the time goes into reading the weights. So the threads share the channels, and each reads a
  // part of the weights.
  if (threads > 1 && 4 * rows * threads < channels) {
    const int64_t size = rows * out_channels_;
    at::Tensor partial = at::empty({threads, size}, at::kFloat);
    float* parts = partial.mutable_data_ptr<float>();
    const int64_t pairs = channels / 2;  // bfloat16 is multiplied in pairs
    parallel_tasks(threads, [&](int64_t part, int) {
      multiply.template operator()<float>(0, rows, pairs * part / threads * 2,
                                          part + 1 == threads ? channels : pairs * (part + 1) / threads * 2, nullptr,
                                          parts + part * size, {});
    });
    return table().of<T>().combine({.parts = parts,
                                    .groups = threads,
                                    .rows = rows,
                                    .channels = out_channels_,
                                    .bias = bias,
                                    .residual = adds ? out : nullptr,
                                    .out = out,
                                    .activation = activation});
  }
  const int64_t tiles = (rows + table().tile_rows(packed_.panels) - 1) / table().tile_rows(packed_.panels);
  const int64_t tasks = std::min(rows, threads * std::clamp<int64_t>(tiles / (threads * kTiles), 1, 8));
  parallel_tasks(tasks, [&](int64_t task, int) {
    const int64_t begin = rows * task / tasks, end = rows * (task + 1) / tasks;
    T* to = out + begin * out_channels_;
    multiply(begin, end, 0, channels, bias, to, {activation, adds ? to : nullptr});
  });
}

}  // namespace visiontorch::ops
