#include "ops/inverted_residual.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "runtime/parallel.h"

namespace visiontorch::ops {

// Output rows [first_row, last_row) of one image, as far as they come from the hidden channels [first, last).
template <class T>
struct InvertedResidual::Part {
  int64_t image, first_row, last_row, step, out_width;
  int64_t first_panel, last_panel;  // of the expansion
  int64_t first, last;
  bool whole;  // all hidden channels: bias and residual are added here
  T* scratch;
};

bool InvertedResidual::supports(const nn::Conv2d& conv, at::ScalarType type) {
  return has_kernels(type) && conv.groups == conv.in_channels && conv.groups == conv.out_channels &&
         conv.groups % 2 == 0 && conv.kernel_size == 3 && conv.padding == 1 && conv.dilation == 1 && conv.stride <= 2;
}

InvertedResidual::InvertedResidual(const Layers& layers, at::ScalarType type)
    : type_(type),
      expands_(layers.expand.defined()),
      residual_(layers.residual),
      in_channels_(expands_ ? layers.expand.size(1) : layers.depthwise.size(0)),
      hidden_(layers.depthwise.size(0)),
      out_channels_(layers.project.size(0)),
      stride_(layers.stride),
      activation_(layers.activation),
      project_(pack(layers.project.flatten(1).t(), layers.project_bias, type)),
      depthwise_(layers.depthwise.reshape({hidden_, 9}).t().contiguous()),
      depthwise_bias_(layers.depthwise_bias.contiguous()) {
  if (expands_) expand_ = pack(layers.expand.flatten(1).t(), layers.expand_bias, type, at::get_num_threads());
}

at::Tensor InvertedResidual::operator()(const at::Tensor& input) const {
  const at::Tensor x = input.to(type_).contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor y = at::empty({x.size(0), out_channels_, (x.size(2) - 1) / stride_ + 1, (x.size(3) - 1) / stride_ + 1},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));
  with_type(type_, [&]<class T>(T) { run<T>(x, y); });
  return y;
}

template <class T>
void InvertedResidual::run(const at::Tensor& x, at::Tensor& y) const {
  constexpr int64_t kCache = 512 * 1024 / sizeof(T);
  const int64_t images = x.size(0), width = x.size(3), out_height = y.size(2), out_width = y.size(3);
  const int64_t threads = at::get_num_threads(), panels = expand_.panels.count, panel = expand_.panels.width;

  // The threads share each image, which so stays in the cache: the rows of a large one; of a small one the hidden
  // channels, as strips would be low, and each computes a row above and one below itself.
  const bool shares_channels = expands_ && out_height < 8 * threads && panels >= threads && threads > 1;
  const int64_t groups = shares_channels ? threads : 1;
  const int64_t strips = shares_channels ? 1 : std::min(threads, out_height);
  // The strip advances by as many rows as the cache holds.
  const int64_t in_row = (width + 2) * hidden_, out_row = out_width * hidden_;
  const int64_t step = std::clamp<int64_t>((kCache - 2 * in_row) / (stride_ * in_row + out_row), 1, out_height);
  const int64_t scratch_size = ring_rows(step) * in_row + step * out_row;
  at::Tensor scratch = at::empty({threads, scratch_size}, x.options());
  const int64_t size = y.numel(), image_size = size / images;
  at::Tensor partial = at::empty({groups > 1 ? groups * size : 0}, at::kFloat);
  T* out = mutable_data<T>(y);
  parallel_tasks(images * strips * groups, [&](int64_t task, int thread) {
    const int64_t group = task % groups, strip = task / groups % strips, image = task / groups / strips;
    Part<T> part{image,
                 out_height * strip / strips,
                 out_height * (strip + 1) / strips,
                 step,
                 out_width,
                 0,
                 panels,
                 0,
                 hidden_,
                 true,
                 mutable_data<T>(scratch) + thread * scratch_size};
    if (groups == 1) return compute(x, part, out + image * image_size);
    part.first_panel = panels * group / groups;
    part.last_panel = panels * (group + 1) / groups;
    part.first = part.first_panel * panel;
    part.last = std::min(hidden_, part.last_panel * panel);
    part.whole = false;
    compute(x, part, partial.mutable_data_ptr<float>() + group * size + image * image_size);
  });
  if (groups == 1) return;
  const kernels::Combination<T> combination{.parts = partial.const_data_ptr<float>(),
                                            .groups = groups,
                                            .rows = size / out_channels_,
                                            .channels = out_channels_,
                                            .bias = project_.bias.const_data_ptr<float>(),
                                            .residual = residual_ ? data<T>(x) : nullptr,
                                            .out = out};
  if constexpr (std::is_same_v<T, float>) {
    table().combine(combination);
  } else {
    table().combine_bfloat16(combination);
  }
}

// The expanded rows lie in a ring, from which the depthwise convolution takes its windows: each is computed once.
template <class T, class Out>
void InvertedResidual::compute(const at::Tensor& x, const Part<T>& part, Out* out) const {
  const int64_t width = x.size(3), channels = part.last - part.first, row = (width + 2) * channels;
  const int64_t size = ring_rows(part.step);
  const T* image = data<T>(x) + part.image * x.size(2) * width * in_channels_;
  T* filtered = part.scratch + size * row;
  auto slot = [&](int64_t in_row) { return part.scratch + (in_row + 1) % size * row; };
  int64_t next = part.first_row * stride_ - 1;
  for (int64_t y = part.first_row; y < part.last_row; y += part.step) {
    const int64_t rows = std::min(part.step, part.last_row - y), end = (y + rows - 1) * stride_ + 2;
    expand(x, part, next, end, slot);
    next = end;
    std::vector<const T*> windows(ring_rows(rows));
    for (size_t i = 0; i < windows.size(); i++) windows[i] = slot(y * stride_ - 1 + static_cast<int64_t>(i));
    const kernels::Depthwise<T> depthwise{
        .rows = windows.data(),
        .out_rows = rows,
        .out_width = part.out_width,
        .channels = channels,
        .stride = stride_,
        .weights = depthwise_.const_data_ptr<float>() + part.first,
        .weight_stride = hidden_,
        .bias = depthwise_bias_.const_data_ptr<float>() + part.first,
        .out = filtered,
        .activation = activation_,
    };
    if constexpr (std::is_same_v<T, float>) {
      table().depthwise(depthwise);
    } else {
      table().depthwise_bfloat16(depthwise);
    }
    const int64_t count = rows * part.out_width, begin = y * part.out_width * out_channels_;
    std::vector<const T*> pixels(count);
    for (int64_t m = 0; m < count; m++) pixels[m] = filtered + m * channels;
    kernels::Product<T, Out> project{
        .rows = pixels.data(),
        .count = count,
        .taps = 1,
        .depth = channels,
        .panels = project_.panels,
        .weights = data<T>(project_.weights) + part.first * project_.panels.width,
        .bias = part.whole ? project_.bias.const_data_ptr<float>() : nullptr,
        .first = 0,
        .last = project_.panels.count,
        .out = out + begin,
        .stride = out_channels_,
        .epilogue = {},
    };
    if constexpr (std::is_same_v<T, Out>)
      if (part.whole && residual_) project.epilogue.residual = image + begin;
    multiply(project);
  }
}

// Input rows [begin, end), padded: zeros outside the image.
template <class T, class Slot>
void InvertedResidual::expand(const at::Tensor& x, const Part<T>& part, int64_t begin, int64_t end,
                              const Slot& slot) const {
  const int64_t height = x.size(2), width = x.size(3), channels = part.last - part.first;
  const int64_t first = std::max<int64_t>(begin, 0), last = std::min(end, height);
  const T* image = data<T>(x) + part.image * height * width * in_channels_;
  T* base = slot(begin);
  std::vector<const T*> pixels((last - first) * width);
  std::vector<int64_t> offsets(pixels.size());
  for (int64_t in_row = begin; in_row < end; in_row++) {
    T* to = slot(in_row);
    if (in_row < first || in_row >= last) {
      std::fill_n(to, (width + 2) * channels, T());
      continue;
    }
    std::fill_n(to, channels, T());
    std::fill_n(to + (width + 1) * channels, channels, T());
    const T* from = image + in_row * width * in_channels_;
    if (!expands_) std::copy_n(from, width * channels, to + channels);
    const int64_t m = (in_row - first) * width, offset = to - base + channels - part.first;
    for (int64_t column = 0; column < width; column++) {
      pixels[m + column] = from + column * in_channels_;
      offsets[m + column] = offset + column * channels;
    }
  }
  if (!expands_) return;
  multiply(kernels::Product<T, T>{
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
