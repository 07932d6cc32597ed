#include "ops/convolution.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "ops/dispatch.h"
#include "ops/packing.h"
#include "ops/thresholds.h"
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

// How threads share a product: a task is a block of rows, which stays in the second-level cache while it is multiplied
// by all panels of a group. All threads should finish at the same time, even if one is slower than the others, as a
// virtual processor can be when its core is shared.
struct Partition {
  int64_t blocks = 1, groups = 1;

  // row_floats: the number of the images' values that a row reads.
  Partition(int64_t rows, int64_t row_floats, const Panels& panels) {
    constexpr int64_t kCache = 96 * 1024;  // floats
    constexpr double kTask = 3e5;          // multiply-adds in the time that it takes to start a task
    constexpr double kWait = 0.3;          // the fraction of a task's time for which other threads may wait at the end
    const int64_t threads = at::get_num_threads(), tile = table().tile_rows(panels);
    const int64_t most = std::clamp(kCache / row_floats, tile, 80 * tile), least_blocks = (rows + most - 1) / most;
    double best = 0;
    for (int64_t g = 1; g <= std::min(panels.count, 8 * threads); g++) {
      if (panels.count % g != 0) continue;
      for (int64_t b = least_blocks; b <= least_blocks + 8 * threads && (b == least_blocks || rows / b >= tile); b++) {
        const int64_t tiles = ((rows + b - 1) / b + tile - 1) / tile, rounds = (b * g + threads - 1) / threads;
        const double task = static_cast<double>(tiles * tile * panels.count / g * panels.stride()) + kTask;
        const double time = task * (static_cast<double>(rounds) + kWait);
        if (best == 0 || time < best) {
          best = time;
          blocks = b;
          groups = g;
        }
      }
    }
  }
};

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
  const at::Tensor x = input.to(merged_ ? at::kFloat : type_).contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t height = (x.size(2) + 2 * windows_.top - windows_.height) / windows_.stride + 1;
  const int64_t width = (x.size(3) + 2 * windows_.left - windows_.width) / windows_.stride + 1;
  at::Tensor y = residual.defined() ? residual.contiguous(at::MemoryFormat::ChannelsLast)
                                    : at::empty({x.size(0), out_channels_, height, width},
                                                x.options().dtype(type_).memory_format(at::MemoryFormat::ChannelsLast));
  with_type(type_, [&]<class T>(T) {
    const Epilogue<T> epilogue{kind(activation), residual.defined() ? data<T>(y) : nullptr};
    if (algorithm_ == Algorithm::Winograd)
      return packed_.weights.scalar_type() == at::kFloat ? filter<T, float>(x, y, epilogue)
                                                         : filter<T, T>(x, y, epilogue);
    const Grid grid{y.size(2), y.size(3)};
    merged_ ? multiply<float, T>(x, y, grid, epilogue) : multiply<T, T>(x, y, grid, epilogue);
  });
  return y;
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
  const auto& [window_height, window_width, stride, top, left] = windows_;
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const int64_t pixels = x.size(0) * grid.height * grid.width;
  const int64_t window = merged_ ? window_width : 1;  // pixels per tap
  const int64_t taps = window_height * window_width / window, depth = window * channels;
  const In* images = data<In>(x);
  const std::vector<In> zeros(depth);
  const Panels& group_panels = packed_.panels;  // per group of the convolution
  Panels panels = group_panels;
  panels.count *= groups_;
  const Partition partition(pixels, channels * stride * stride, panels);
  Out* out = mutable_data<Out>(y);
  std::vector<std::atomic<int64_t>> groups_done(done ? partition.blocks : 0);
  parallel_tasks(partition.blocks * partition.groups, [&](int64_t task, int) {
    const int64_t block = task / partition.groups, group = task % partition.groups;
    const int64_t begin = pixels * block / partition.blocks, count = pixels * (block + 1) / partition.blocks - begin;
    std::vector<const In*> rows(taps * count);
    // Copies of windows that are partly outside of the image. Pointers to them must stay valid, so reserve() takes the
    // largest number.
    std::vector<In> edges;
    if (merged_) edges.reserve((count / grid.width + 2) * 2 * ((left + stride - 1) / stride) * taps * depth);
    std::vector<int64_t> offsets(grid.step > 1 ? count : 0);
    // Goes through the block's pixels in runs within one output row; each tap points to its `window` pixels, or to
    // zeros.
    for (int64_t m = 0; m < count;) {
      const int64_t column = (begin + m) % grid.width, row = (begin + m) / grid.width % grid.height;
      const int64_t image = (begin + m) / grid.width / grid.height, run = std::min(grid.width - column, count - m);
      for (int64_t tap = 0; tap < taps; tap++) {
        const int64_t in_y = row * stride - top + tap * window / window_width;
        const int64_t in_x = column * stride - left + tap * window % window_width;
        const In** pointers = rows.data() + tap * count + m;
        if (in_y < 0 || in_y >= height) {
          std::fill_n(pointers, run, zeros.data());
          continue;
        }
        const In* in_row = images + (image * height + in_y) * width * channels;
        for (int64_t i = 0; i < run; i++) pointers[i] = in_row + (in_x + i * stride) * channels;
        auto outside = [&](int64_t i) { return in_x + i * stride < 0 || in_x + i * stride + window > width; };
        auto replace = [&](int64_t i) {
          const int64_t start = in_x + i * stride, first = std::max<int64_t>(start, 0);
          const int64_t last = std::min(start + window, width);
          pointers[i] = zeros.data();
          if (first >= last) return;
          pointers[i] = edges.data() + edges.size();
          edges.insert(edges.end(), (first - start) * channels, In());
          edges.insert(edges.end(), in_row + first * channels, in_row + last * channels);
          edges.insert(edges.end(), (start + window - last) * channels, In());
        };
        int64_t i = 0;
        for (; i < run && outside(i); i++) replace(i);
        for (int64_t last = run - 1; last >= i && outside(last); last--) replace(last);
      }
      if (grid.step > 1) {
        const int64_t out_y = grid.row + row * grid.step, out_x = grid.column + column * grid.step;
        for (int64_t i = 0; i < run; i++)
          offsets[m + i] = ((image * y.size(2) + out_y) * y.size(3) + out_x + i * grid.step) * out_channels_;
      }
      m += run;
    }
    const Out* residual = epilogue.residual;
    if (residual && grid.step == 1) residual += begin * out_channels_;
    const int64_t end = panels.count * (group + 1) / partition.groups;
    for (int64_t first = panels.count * group / partition.groups, last = first; first < end; first = last) {
      const int64_t conv_group = first / group_panels.count, of_group = conv_group * group_panels.count;
      last = std::min(end, of_group + group_panels.count);
      const int64_t channel = conv_group * group_panels.columns;
      gemm(IndirectGemm<In, Out>{
          .rows = rows.data(),
          .count = count,
          .taps = taps,
          .depth = depth / groups_,
          .panels = group_panels,
          .weights = data<In>(packed_.weights) + of_group * group_panels.stride(),
          .bias = packed_.bias.const_data_ptr<float>() + conv_group * group_panels.padded_columns(),
          .first = first - of_group,
          .last = last - of_group,
          .out = (grid.step > 1 ? out : out + begin * out_channels_) + channel,
          .stride = out_channels_,
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
