#include "ops/convolution.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "ops/dispatch.h"
#include "ops/packing.h"
#include "ops/thresholds.h"
#include "ops/windows.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

using kernels::Epilogue;
using kernels::IndirectGemm;
using kernels::Panels;

namespace {

bool transforms_on_the_way(const nn::Conv2d& conv, int64_t tiles) {
  const bool even = conv.in_channels % table().lanes == 0 && conv.out_channels % table().lanes == 0;
  return even && conv.in_channels * conv.out_channels >= thresholds::kLargeWinogradWeights &&
         tiles <= thresholds::kMostTilesToTransformEachTime;
}

}  // namespace

bool Convolution::supports(const nn::Conv2d& conv, at::ScalarType type) {
  if (!has_kernels(type) || conv.dilation != 1) return false;
  const int64_t in_channels = conv.in_channels / conv.groups, out_channels = conv.out_channels / conv.groups;
  // Narrower groups would leave most of a vector empty.
  if (conv.groups > 1 && (in_channels < 8 || 2 * out_channels < table().lanes)) return false;
  return type == at::kFloat || (conv.groups == 1 && in_channels < table().lanes) || in_channels % 2 == 0;
}

Convolution::Convolution(const nn::Conv2d& conv, const Affine& layer, at::IntArrayRef images, at::ScalarType type) {
  const int64_t tiles = images[0] * ((images[2] + 3) / 4) * ((images[3] + 3) / 4);
  const int64_t least_tiles = type == at::kFloat ? thresholds::kWinogradTilesFloat : thresholds::kWinogradTilesBFloat16;
  if (!supports_winograd(conv) || tiles < least_tiles) {
    *this = product(conv, layer, type);
    return;
  }
  on_the_way_ = transforms_on_the_way(conv, tiles);
  type_ = type;
  algorithm_ = Algorithm::Winograd;
  windows_ = kWinogradWindows;
  out_channels_ = conv.out_channels;
  packed_ = on_the_way_ ? plain_winograd(layer) : pack_winograd(layer);
}

Convolution Convolution::product(const nn::Conv2d& conv, const Affine& layer, at::ScalarType type) {
  Convolution result;
  result.type_ = type;
  result.algorithm_ = Algorithm::Product;
  result.windows_ = {conv.kernel_size.height, conv.kernel_size.width, conv.stride, conv.padding.height,
                     conv.padding.width};
  result.out_channels_ = conv.out_channels;
  result.groups_ = conv.groups;
  result.merged_ = conv.groups == 1 && conv.in_channels < table().lanes;
  result.packed_ = pack_groups(layer, result.merged_ ? at::kFloat : type, conv.groups);
  return result;
}

bool Convolution::supports_winograd(const nn::Conv2d& conv) {
  return supports(conv, at::kFloat) && conv.groups == 1 && conv.kernel_size == 3 && conv.stride == 1 &&
         conv.padding == 1 && conv.in_channels >= table().lanes;
}

Convolution Convolution::winograd(const Affine& layer, at::ScalarType type, Taps taps, at::ScalarType factors) {
  Convolution result;
  result.type_ = type;
  result.algorithm_ = Algorithm::Winograd;
  result.windows_ = kWinogradWindows;
  result.out_channels_ = layer.weight.size(0);
  result.packed_ = pack_winograd(layer, taps, factors);
  return result;
}

at::Tensor Convolution::operator()(const at::Tensor& input, std::optional<nn::Activation> activation,
                                   at::Tensor residual) const {
  const at::Tensor x = prepare(input);
  const int64_t height = (x.size(2) + 2 * windows_.top - windows_.height) / windows_.stride + 1;
  const int64_t width = (x.size(3) + 2 * windows_.left - windows_.width) / windows_.stride + 1;
  at::Tensor y = residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast)
                                    : at::empty({x.size(0), out_channels_, height, width},
                                                x.options().dtype(type_).memory_format(at::MemoryFormat::ChannelsLast));
  run(x, activation, y, residual.defined());
  return y;
}

void Convolution::write(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor& y) const {
  run(prepare(x), activation, y, false);
}

at::Tensor Convolution::prepare(const at::Tensor& x) const {
  return x.to(merged_ ? at::kFloat : type_).contiguous(at::MemoryFormat::ChannelsLast);
}

// adds: whether y is the residual.
void Convolution::run(const at::Tensor& x, std::optional<nn::Activation> activation, at::Tensor& y, bool adds) const {
  with_type(type_, [&]<class T>(T) {
    const Epilogue<T> epilogue{kind(activation), adds ? data<T>(y) : nullptr};
    if (algorithm_ == Algorithm::Winograd)
      return packed_.weights.scalar_type() == at::kFloat ? filter<T, float>(x, y, epilogue)
                                                         : filter<T, T>(x, y, epilogue);
    const Grid grid{y.size(2), y.size(3)};
    merged_ ? multiply<float, T>(x, y, grid, epilogue) : multiply<T, T>(x, y, grid, epilogue);
  });
}

// Only every stride-th tap reaches an input pixel, so the gradient of pixels that are a stride apart is a convolution
// of the output's gradient with these taps in reverse.
at::Tensor Convolution::input_gradient(const nn::Conv2d& conv, const at::Tensor& weight, const at::Tensor& gradient,
                                       at::IntArrayRef sizes, const at::Tensor& added, const RowsDone& done) {
  const int64_t k = conv.kernel_size.height, padding = conv.padding.height, stride = conv.stride;
  at::Tensor result = added;
  if (!added.defined()) {
    result = at::empty(sizes, gradient.options().memory_format(at::MemoryFormat::ChannelsLast));
    if (k < stride) result.zero_();  // some pixels are not reached by any tap
  }
  for (int64_t row = 0; row < std::min(stride, sizes[2]); row++)
    for (int64_t column = 0; column < std::min(stride, sizes[3]); column++) {
      const int64_t first_y = (row + padding) % stride, first_x = (column + padding) % stride;
      if (first_y >= k || first_x >= k) continue;
      const at::Tensor taps = weight.slice(2, first_y, k, stride).slice(3, first_x, k, stride).transpose(0, 1);
      const int64_t height = taps.size(2), width = taps.size(3);
      Convolution part;
      part.algorithm_ = Algorithm::Product;
      part.windows_ = {height, width, 1, height - 1 - (row + padding - first_y) / stride,
                       width - 1 - (column + padding - first_x) / stride};
      part.out_channels_ = sizes[1];
      part.packed_ = pack({taps, {}, {}}, gradient.scalar_type(), Taps::Reversed);
      const Grid grid{(sizes[2] - row + stride - 1) / stride, (sizes[3] - column + stride - 1) / stride, row, column,
                      stride};
      with_type(gradient.scalar_type(), [&]<class T>(T) {
        const Epilogue<T> epilogue{.residual = added.defined() ? data<T>(added) : nullptr};
        part.multiply<T, T>(gradient, result, grid, epilogue, stride == 1 ? done : RowsDone());
      });
    }
  return result;
}

template <class In, class Out>
void Convolution::multiply(const at::Tensor& x, at::Tensor& y, const Grid& grid, const Epilogue<Out>& epilogue,
                           const RowsDone& done) const {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t pixels = x.size(0) * grid.height * grid.width, stride = pixel_stride(y);
  const WindowRows<In> windows(windows_, merged_, {data<In>(x), height, width, channels}, {grid.height, grid.width});
  const Panels& group_panels = packed_.panels;  // of each group of the convolution
  Panels panels = group_panels;
  panels.count *= groups_;
  const Partition partition(pixels, channels * windows_.stride * windows_.stride, panels,
                            table().tile_rows(group_panels));
  Out* out = mutable_data<Out>(y);
  std::vector<std::atomic<int64_t>> groups_done(done ? partition.blocks : 0);
  parallel_tasks(partition.blocks * partition.groups, [&](int64_t task, int) {
    const int64_t block = task / partition.groups, group = task % partition.groups;
    const int64_t begin = pixels * block / partition.blocks, count = pixels * (block + 1) / partition.blocks - begin;
    const auto rows = windows.of(begin, count);
    std::vector<int64_t> offsets(grid.step > 1 ? count : 0);
    for (size_t m = 0; m < offsets.size(); m++) {
      const int64_t pixel = begin + static_cast<int64_t>(m), column = pixel % grid.width;
      const int64_t row = pixel / grid.width % grid.height, image = pixel / grid.width / grid.height;
      const int64_t out_y = grid.row + row * grid.step, out_x = grid.column + column * grid.step;
      offsets[m] = ((image * y.size(2) + out_y) * y.size(3) + out_x) * stride;
    }
    const Out* residual = epilogue.residual;
    if (residual && grid.step == 1) residual += begin * stride;
    const int64_t end = panels.count * (group + 1) / partition.groups;
    for (int64_t first = panels.count * group / partition.groups, last = first; first < end; first = last) {
      const int64_t conv_group = first / group_panels.count, of_group = conv_group * group_panels.count;
      last = std::min(end, of_group + group_panels.count);
      const int64_t channel = conv_group * group_panels.columns;
      gemm(IndirectGemm<In, Out>{
          .rows = rows.pointers.data(),
          .count = count,
          .taps = windows.taps(),
          .depth = windows.depth() / groups_,
          .panels = group_panels,
          .weights = data<In>(packed_.weights) + of_group * group_panels.stride(),
          .bias = packed_.bias.const_data_ptr<float>() + conv_group * group_panels.padded_columns(),
          .first = first - of_group,
          .last = last - of_group,
          .out = (grid.step > 1 ? out : out + begin * stride) + channel,
          .stride = stride,
          .epilogue = {epilogue.activation, residual ? residual + channel : nullptr},
          .offsets = grid.step > 1 ? offsets.data() : nullptr,
          .offset = conv_group * (channels / groups_),
      });
    }
    if (done && ++groups_done[block] == partition.groups) done(y, begin, begin + count);
  });
}

template <class T, class Factor>
void Convolution::filter(const at::Tensor& x, at::Tensor& y, const Epilogue<T>& epilogue) const {
  const kernels::WinogradConvolution<T, Factor> work{
      .height = x.size(2),
      .width = x.size(3),
      .in_channels = x.size(1),
      .out_channels = out_channels_,
      .panels = packed_.panels,
      .weights = on_the_way_ ? nullptr : data<Factor>(packed_.weights),
      .filters = on_the_way_ ? packed_.weights.const_data_ptr<float>() : nullptr,
      .bias = packed_.bias.const_data_ptr<float>(),
      .images = data<T>(x),
      .out = mutable_data<T>(y),
      .stride = pixel_stride(y),
      .epilogue = epilogue,
  };
  const int64_t tiles = x.size(0) * ((x.size(2) + 3) / 4) * ((x.size(3) + 3) / 4), threads = at::get_num_threads();
  // If there are few tiles, the threads share the panels instead, and each thread transforms all inputs.
  const bool few = tiles < thresholds::kFewWinogradTiles && packed_.panels.count >= threads;
  const int64_t least = (tiles + kernels::kWinogradTiles - 1) / kernels::kWinogradTiles;
  const int64_t tasks = few ? packed_.panels.count : (least + threads - 1) / threads * threads;
  at::Tensor scratch = at::empty({threads, kernels::winograd_scratch(work.in_channels, packed_.panels)}, at::kFloat);
  std::vector<uint8_t> gathered(threads);
  parallel_tasks(tasks, [&](int64_t task, int thread) {
    const kernels::WinogradPart part =
        few ? kernels::WinogradPart{0, tiles, task, task + 1, std::exchange(gathered[thread], 1) == 1}
            : kernels::WinogradPart{tiles * task / tasks, tiles * (task + 1) / tasks, 0, packed_.panels.count};
    float* memory = scratch.mutable_data_ptr<float>() + thread * scratch.size(1);
    if constexpr (std::is_same_v<Factor, float>) {
      table().of<T>().winograd(work, part, memory);
    } else {
      table().of<T>().winograd_in_type(work, part, memory);
    }
  });
}

}  // namespace visiontorch::ops
