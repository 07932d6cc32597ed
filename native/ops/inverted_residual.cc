#include "ops/inverted_residual.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "runtime/parallel.h"

namespace visiontorch::ops {

// Output rows [first_row, last_row) of one image, as far as they come from the hidden channels [first, last).
struct InvertedResidual::Part {
  int64_t image, first_row, last_row, step, out_width;
  int64_t first_panel, last_panel;  // of the expansion
  int64_t first, last;
  float* out;  // of this image
};

bool InvertedResidual::supports(const nn::Conv2d& conv) {
  return kernels::table() && conv.groups == conv.in_channels && conv.groups == conv.out_channels &&
         conv.kernel_size == 3 && conv.padding == 1 && conv.dilation == 1 && conv.stride <= 2;
}

InvertedResidual::InvertedResidual(const Layers& layers)
    : expands_(layers.expand.defined()),
      residual_(layers.residual),
      in_channels_(expands_ ? layers.expand.size(1) : layers.depthwise.size(0)),
      hidden_(layers.depthwise.size(0)),
      out_channels_(layers.project.size(0)),
      stride_(layers.stride),
      activation_(layers.activation),
      project_(pack(layers.project.flatten(1).t(), layers.project_bias)),
      depthwise_(layers.depthwise.reshape({hidden_, 9}).t().contiguous()),
      depthwise_bias_(layers.depthwise_bias.contiguous()) {
  if (expands_) expand_ = pack(layers.expand.flatten(1).t(), layers.expand_bias, at::get_num_threads());
}

at::Tensor InvertedResidual::operator()(const at::Tensor& input) const {
  constexpr int64_t kCache = 128 * 1024;  // floats
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t images = x.size(0), width = x.size(3), threads = at::get_num_threads();
  const int64_t out_height = (x.size(2) - 1) / stride_ + 1, out_width = (width - 1) / stride_ + 1;
  at::Tensor y = at::empty({images, out_channels_, out_height, out_width},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast));

  // The threads share each image, which so stays in the cache: the rows of a large one; of a small one the hidden
  // channels, as strips would be low, and each computes a row above and one below itself.
  const bool shares_channels = expands_ && out_height < 8 * threads && expand_.panels.count >= threads;
  const int64_t groups = shares_channels ? threads : 1;
  const int64_t strips = shares_channels ? 1 : std::min(threads, out_height);
  // The strip advances by as many rows as the cache holds.
  const int64_t in_row = (width + 2) * hidden_, out_row = out_width * hidden_;
  const int64_t step = std::clamp<int64_t>((kCache - 2 * in_row) / (stride_ * in_row + out_row), 1, out_height);
  const int64_t scratch_size = ring_rows(step) * in_row + step * out_row;
  at::Tensor scratch = at::empty({threads, scratch_size}, x.options());
  const int64_t image_size = out_height * out_width * out_channels_;
  at::Tensor partial = groups > 1 ? at::empty({groups - 1, images * image_size}, x.options()) : at::Tensor();
  parallel_tasks(images * strips * groups, [&](int64_t task, int thread) {
    const int64_t group = task % groups, strip = task / groups % strips, image = task / groups / strips;
    const int64_t first_panel = expand_.panels.count * group / groups;
    const int64_t last_panel = expand_.panels.count * (group + 1) / groups;
    float* out = group == 0 ? y.mutable_data_ptr<float>() : partial[group - 1].mutable_data_ptr<float>();
    compute(x,
            {image, out_height * strip / strips, out_height * (strip + 1) / strips, step, out_width, first_panel,
             last_panel, groups == 1 ? 0 : first_panel * expand_.panels.width,
             groups == 1 ? hidden_ : std::min(hidden_, last_panel * expand_.panels.width), out + image * image_size},
            scratch.mutable_data_ptr<float>() + thread * scratch_size);
  });
  for (int64_t group = 1; group < groups; group++) {
    float* sum = y.mutable_data_ptr<float>();
    const float* part = partial.const_data_ptr<float>() + (group - 1) * images * image_size;
    for (int64_t i = 0; i < images * image_size; i++) sum[i] += part[i];
  }
  return y;
}

// The expanded rows lie in a ring, from which the depthwise convolution takes its windows: each is computed once.
void InvertedResidual::compute(const at::Tensor& x, const Part& part, float* scratch) const {
  const int64_t width = x.size(3), channels = part.last - part.first, row = (width + 2) * channels;
  const int64_t size = ring_rows(part.step);
  const float* image = x.const_data_ptr<float>() + part.image * x.size(2) * width * in_channels_;
  float* filtered = scratch + size * row;
  auto slot = [&](int64_t in_row) { return scratch + (in_row + 1) % size * row; };
  int64_t next = part.first_row * stride_ - 1;
  for (int64_t y = part.first_row; y < part.last_row; y += part.step) {
    const int64_t rows = std::min(part.step, part.last_row - y), end = (y + rows - 1) * stride_ + 2;
    expand(x, part, next, end, slot);
    next = end;
    std::vector<const float*> windows(ring_rows(rows));
    for (size_t i = 0; i < windows.size(); i++) windows[i] = slot(y * stride_ - 1 + static_cast<int64_t>(i));
    table().depthwise({
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
    });
    const int64_t count = rows * part.out_width, begin = y * part.out_width * out_channels_;
    std::vector<const float*> pixels(count);
    for (int64_t m = 0; m < count; m++) pixels[m] = filtered + m * channels;
    const bool is_first = part.first == 0;  // the others' sums are added to the first one's
    table().multiply({
        .rows = pixels.data(),
        .count = count,
        .taps = 1,
        .depth = channels,
        .panels = project_.panels,
        .weights = project_.weights.const_data_ptr<float>() + part.first * project_.panels.width,
        .bias = is_first ? project_.bias.const_data_ptr<float>() : nullptr,
        .first = 0,
        .last = project_.panels.count,
        .out = part.out + begin,
        .stride = out_channels_,
        .epilogue = {kernels::Activation::None, is_first && residual_ ? image + begin : nullptr},
    });
  }
}

// Input rows [begin, end), padded: zeros outside the image.
template <class Slot>
void InvertedResidual::expand(const at::Tensor& x, const Part& part, int64_t begin, int64_t end,
                              const Slot& slot) const {
  const int64_t height = x.size(2), width = x.size(3), channels = part.last - part.first;
  const int64_t first = std::max<int64_t>(begin, 0), last = std::min(end, height);
  const float* image = x.const_data_ptr<float>() + part.image * height * width * in_channels_;
  float* base = slot(begin);
  std::vector<const float*> pixels((last - first) * width);
  std::vector<int64_t> offsets(pixels.size());
  for (int64_t in_row = begin; in_row < end; in_row++) {
    float* to = slot(in_row);
    if (in_row < first || in_row >= last) {
      std::fill_n(to, (width + 2) * channels, 0.0F);
      continue;
    }
    std::fill_n(to, channels, 0.0F);
    std::fill_n(to + (width + 1) * channels, channels, 0.0F);
    const float* from = image + in_row * width * in_channels_;
    if (!expands_) std::copy_n(from, width * channels, to + channels);
    const int64_t m = (in_row - first) * width, offset = to - base + channels - part.first;
    for (int64_t column = 0; column < width; column++) {
      pixels[m + column] = from + column * in_channels_;
      offsets[m + column] = offset + column * channels;
    }
  }
  if (!expands_) return;
  table().multiply({
      .rows = pixels.data(),
      .count = static_cast<int64_t>(pixels.size()),
      .taps = 1,
      .depth = in_channels_,
      .panels = expand_.panels,
      .weights = expand_.weights.const_data_ptr<float>(),
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
