#include "ops/inverted_residual.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "ops/dispatch.h"
#include "ops/pooling.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

namespace {

// Rows that two threads share. One takes them from the top and the other from the bottom, so that the faster thread
// takes more, and there is only one border between strips of different threads, where they meet.
class Rows {
 public:
  void reset(int64_t first, int64_t last) { ends_ = first << 32 | last; }

  // Returns the next rows [first, last), at most `count`; empty if there are no more.
  std::pair<int64_t, int64_t> take(int64_t count, bool from_below) {
    for (int64_t ends = ends_;;) {
      const int64_t first = ends >> 32, last = ends & 0xFFFFFFFF, taken = std::min(count, last - first);
      const int64_t left = from_below ? first << 32 | (last - taken) : (first + taken) << 32 | last;
      if (!ends_.compare_exchange_weak(ends, left)) continue;
      return from_below ? std::pair(last - taken, last) : std::pair(first, first + taken);
    }
  }

 private:
  std::atomic<int64_t> ends_;
};

}  // namespace

// Output rows of one image, computed only from the hidden channels of the panels [first_panel, last_panel).
template <class T>
struct InvertedResidual::Part {
  Rows* rows;
  bool from_below;
  int64_t image, step, out_width;
  int64_t first_panel, last_panel;  // of the expansion
  int64_t first, last;
  bool whole;  // whether these are all hidden channels; then bias and residual are added here
  T* scratch;
  float* sums;  // [out_height][hidden], of each row of the depthwise convolution's outputs; or null
};

bool InvertedResidual::supports(const nn::Conv2d& conv, int64_t in_channels, at::ScalarType type) {
  const bool in_pairs = type == at::kFloat || in_channels % 2 == 0;  // bfloat16 is multiplied in pairs
  return has_kernels(type) && in_pairs && conv.groups == conv.in_channels && conv.groups == conv.out_channels &&
         conv.groups % 2 == 0 && conv.kernel_size.is_square() && conv.padding == conv.kernel_size.height / 2 &&
         conv.dilation == 1 && kernels::supports_depthwise(conv.kernel_size.height, conv.stride);
}

InvertedResidual::InvertedResidual(const Layers& layers, at::ScalarType type)
    : type_(type),
      expands_(layers.expand.weight.defined()),
      projects_(layers.project.weight.defined()),
      residual_(layers.residual),
      in_channels_(expands_ ? layers.expand.weight.size(1) : layers.depthwise.weight.size(0)),
      hidden_(layers.depthwise.weight.size(0)),
      out_channels_(projects_ ? layers.project.weight.size(0) : hidden_),
      kernel_size_(layers.depthwise.weight.size(2)),
      stride_(layers.stride),
      activation_(layers.activation),
      depthwise_(layers.depthwise.scaled().flatten(1).t().contiguous()),
      depthwise_bias_(layers.depthwise.bias.defined() ? layers.depthwise.bias.contiguous()
                                                      : at::zeros({hidden_}, at::kFloat)) {
  if (expands_) expand_ = pack(layers.expand, type, Taps::InOrder, at::get_num_threads());
  if (projects_) project_ = pack(layers.project, type);
}

at::Tensor InvertedResidual::operator()(const at::Tensor& input, at::Tensor* means) const {
  const at::Tensor x = input.to(type_).contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor y = at::empty({x.size(0), out_channels_, (x.size(2) - 1) / stride_ + 1, (x.size(3) - 1) / stride_ + 1},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  with_type(type_, [&]<class T>(T) { run<T>(x, y, means); });
  return y;
}

template <class T>
void InvertedResidual::run(const at::Tensor& x, at::Tensor& y, at::Tensor* means) const {
  constexpr int64_t kCache = 512 * 1024 / sizeof(T);
  constexpr int64_t kTurns = 12;  // minimum number of turns per strip: one thread may be much slower than another
  const int64_t images = x.size(0), width = x.size(3), out_height = y.size(2), out_width = y.size(3);
  const int64_t threads = at::get_num_threads(), panels = expand_.panels.count, panel = expand_.panels.width;

  // All threads work on the same image, so that it stays in the cache. They share the rows of a large image, and the
  // hidden channels of a small one: its strips would have few rows, and neighboring strips both compute the rows at
  // their border.
  const bool shares_channels = expands_ && out_height < 8 * threads && panels >= threads && threads > 1;
  const int64_t groups = shares_channels ? threads : 1;
  const int64_t strips = shares_channels ? 1 : std::min((threads + 1) / 2, out_height);
  const int64_t ends = shares_channels || threads == 1 ? 1 : 2;  // number of ends at which threads start in a strip
  // A thread computes at most as many rows at a time as the cache holds.
  const int64_t in_row = (width + 2 * padding()) * hidden_, out_row = out_width * hidden_;
  const int64_t most = ends == 1 ? out_height : std::max<int64_t>(1, out_height / (strips * kTurns));
  const int64_t step =
      std::clamp<int64_t>((kCache - (kernel_size_ - 1) * in_row) / (stride_ * in_row + out_row), 1, most);
  const int64_t scratch_size = ring_rows(step) * in_row + (projects_ ? step * out_row : 0);
  at::Tensor scratch = at::empty({threads, scratch_size}, x.options());
  const int64_t size = y.numel(), image_size = size / images;
  at::Tensor partial = at::empty({groups > 1 && projects_ ? groups * size : 0}, at::kFloat);
  const int64_t tasks = images * strips * groups * ends;
  // A sum for each row, because a task's rows depend on how fast the threads are, and so would the rounding of its sum.
  at::Tensor row_sums = at::empty({means ? images : 0, out_height, hidden_}, at::kFloat);
  T* out = mutable_data<T>(y);
  std::vector<Rows> rows(images * strips * groups);
  for (size_t i = 0; i < rows.size(); i++) {
    const int64_t strip = static_cast<int64_t>(i) / groups % strips;
    rows[i].reset(out_height * strip / strips, out_height * (strip + 1) / strips);
  }
  parallel_tasks(tasks, [&](int64_t task, int thread) {
    const int64_t index = task / ends, group = index % groups, image = index / groups / strips;
    Part<T> part{&rows[index],
                 task % ends == 1,
                 image,
                 step,
                 out_width,
                 0,
                 panels,
                 0,
                 hidden_,
                 true,
                 mutable_data<T>(scratch) + thread * scratch_size,
                 means ? row_sums.mutable_data_ptr<float>() + image * out_height * hidden_ : nullptr};
    if (groups == 1) return compute(x, part, out + image * image_size);
    part.first_panel = panels * group / groups;
    part.last_panel = panels * (group + 1) / groups;
    part.first = part.first_panel * panel;
    part.last = std::min(hidden_, part.last_panel * panel);
    part.whole = false;
    if (!projects_) return compute(x, part, out + image * image_size);
    compute(x, part, partial.mutable_data_ptr<float>() + group * size + image * image_size);
  });
  if (means) *means = mean_of_rows(row_sums, out_width);
  if (groups == 1 || !projects_) return;
  const kernels::Combination<T> combination{.parts = partial.const_data_ptr<float>(),
                                            .groups = groups,
                                            .rows = size / out_channels_,
                                            .channels = out_channels_,
                                            .bias = project_.bias.const_data_ptr<float>(),
                                            .residual = residual_ ? data<T>(x) : nullptr,
                                            .out = out};
  table().of<T>().combine(combination);
}

// The expanded rows are in a ring buffer, from which the depthwise convolution takes its windows, so that each row is
// computed once.
template <class T, class Out>
void InvertedResidual::compute(const at::Tensor& x, const Part<T>& part, Out* out) const {
  const int64_t width = x.size(3), channels = part.last - part.first, row = (width + 2 * padding()) * channels;
  const int64_t size = ring_rows(part.step);
  const T* image = data<T>(x) + part.image * x.size(2) * width * in_channels_;
  T* filtered = part.scratch + size * row;
  auto slot = [&](int64_t in_row) { return part.scratch + (in_row + padding()) % size * row; };
  std::optional<int64_t> expanded;  // rows before this one are in the ring; going up, this row and those after it
  for (;;) {
    const auto [y, last] = part.rows->take(part.step, part.from_below);
    if (y == last) return;
    const int64_t rows = last - y, begin = y * stride_ - padding(),
                  end = (last - 1) * stride_ - padding() + kernel_size_;
    if (part.from_below) {
      expand(x, part, begin, expanded.value_or(end), slot);
      expanded = begin;
    } else {
      expand(x, part, expanded.value_or(begin), end, slot);
      expanded = end;
    }
    std::vector<const T*> windows(ring_rows(rows));
    for (size_t i = 0; i < windows.size(); i++) windows[i] = slot(begin + static_cast<int64_t>(i));
    kernels::Depthwise<T> depthwise{
        .rows = windows.data(),
        .out_rows = rows,
        .out_width = part.out_width,
        .channels = channels,
        .kernel_size = kernel_size_,
        .stride = stride_,
        .weights = depthwise_.const_data_ptr<float>() + part.first,
        .weight_stride = hidden_,
        .bias = depthwise_bias_.const_data_ptr<float>() + part.first,
        .out = filtered,
        .out_stride = channels,
        .activation = activation_,
        .sums = part.sums ? part.sums + y * hidden_ + part.first : nullptr,
        .sum_stride = hidden_,
    };
    const int64_t count = rows * part.out_width, offset = y * part.out_width * out_channels_;
    if constexpr (std::is_same_v<T, Out>) {
      if (!projects_) {
        depthwise.out = out + offset + part.first;
        depthwise.out_stride = out_channels_;
        table().of<T>().depthwise(depthwise);
        continue;
      }
    }
    table().of<T>().depthwise(depthwise);
    std::vector<const T*> pixels(count);
    for (int64_t m = 0; m < count; m++) pixels[m] = filtered + m * channels;
    kernels::IndirectGemm<T, Out> project{
        .rows = pixels.data(),
        .count = count,
        .taps = 1,
        .depth = channels,
        .panels = project_.panels,
        .weights = data<T>(project_.weights) + part.first * project_.panels.width,
        .bias = part.whole ? project_.bias.const_data_ptr<float>() : nullptr,
        .first = 0,
        .last = project_.panels.count,
        .out = out + offset,
        .stride = out_channels_,
        .epilogue = {},
    };
    if constexpr (std::is_same_v<T, Out>)
      if (part.whole && residual_) project.epilogue.residual = image + offset;
    gemm(project);
  }
}

// Input rows [begin, end), padded: zeros outside the image.
template <class T, class Slot>
void InvertedResidual::expand(const at::Tensor& x, const Part<T>& part, int64_t begin, int64_t end,
                              const Slot& slot) const {
  const int64_t height = x.size(2), width = x.size(3), channels = part.last - part.first;
  const int64_t first = std::max<int64_t>(begin, 0), last = std::max(first, std::min(end, height));
  const T* image = data<T>(x) + part.image * height * width * in_channels_;
  T* base = slot(begin);
  std::vector<const T*> pixels((last - first) * width);
  std::vector<int64_t> offsets(pixels.size());
  for (int64_t in_row = begin; in_row < end; in_row++) {
    T* to = slot(in_row);
    if (in_row < first || in_row >= last) {
      std::fill_n(to, (width + 2 * padding()) * channels, T());
      continue;
    }
    std::fill_n(to, padding() * channels, T());
    std::fill_n(to + (width + padding()) * channels, padding() * channels, T());
    const T* from = image + in_row * width * in_channels_;
    if (!expands_) std::copy_n(from, width * channels, to + padding() * channels);
    const int64_t m = (in_row - first) * width, offset = to - base + padding() * channels - part.first;
    for (int64_t column = 0; column < width; column++) {
      pixels[m + column] = from + column * in_channels_;
      offsets[m + column] = offset + column * channels;
    }
  }
  if (!expands_) return;
  gemm(kernels::IndirectGemm<T, T>{
      .rows = pixels.data(),
      .count = static_cast<int64_t>(pixels.size()),
      .taps = 1,
      .depth = in_channels_,
      .panels = expand_.panels,
      .weights = data<T>(expand_.weights),
      .bias = expand_.bias.const_data_ptr<float>(),
      .first = part.first_panel,
      .last = part.last_panel,
      .out = base,
      .stride = 0,
      .epilogue = {activation_, nullptr},
      .offsets = offsets.data(),
  });
}

}  // namespace visiontorch::ops
