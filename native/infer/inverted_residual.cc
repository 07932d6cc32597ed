#include "infer/inverted_residual.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "runtime/parallel.h"

namespace visiontorch::infer {

// Output rows [first_row, last_row) of one image, as far as they come from the hidden channels [first, last).
struct InvertedResidual::Part {
  int64_t image, first_row, last_row, out_width;
  int64_t first_panel, last_panel;  // of the expansion
  int64_t first, last;
  float* out;  // of this image
};

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
  if (expands_) expand_ = pack(layers.expand.flatten(1).t(), layers.expand_bias);
}

at::Tensor InvertedResidual::operator()(const at::Tensor& input) const {
  constexpr int64_t kCache = 128 * 1024;  // floats
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t images = x.size(0), width = x.size(3), threads = at::get_num_threads();
  const int64_t out_height = (x.size(2) - 1) / stride_ + 1, out_width = (width - 1) / stride_ + 1;
  at::Tensor y =
      at::empty({images, out_channels_, out_height, out_width}, x.options().memory_format(at::MemoryFormat::ChannelsLast));

  // Strips as high as the cache holds; of a few images, as many as there are threads. Each strip computes a row above
  // and one below again: where strips would be low, the threads share the hidden channels instead.
  const int64_t row = (width + 2) * hidden_ * stride_ + out_width * hidden_;
  const int64_t most = std::clamp<int64_t>(kCache / row, 1, out_height);
  int64_t strips = (out_height + most - 1) / most, groups = 1;
  if (images * strips < 2 * threads) {
    if (expands_ && out_height < 4 * threads * 2 && expand_.panels.count >= threads && images == 1) {
      strips = 1;
      groups = threads;
    } else {
      strips = std::min(out_height, std::max(strips, (threads + images - 1) / images));
    }
  }
  const int64_t rows = (out_height + strips - 1) / strips;
  const int64_t scratch_size = ((rows - 1) * stride_ + 3) * (width + 2) * hidden_ + rows * out_width * hidden_;
  at::Tensor scratch = at::empty({threads, scratch_size}, x.options());
  const int64_t image_size = out_height * out_width * out_channels_;
  at::Tensor partial = groups > 1 ? at::empty({groups - 1, images * image_size}, x.options()) : at::Tensor();
  parallel_tasks(images * strips * groups, [&](int64_t task, int thread) {
    const int64_t group = task % groups, strip = task / groups % strips, image = task / groups / strips;
    const int64_t first_panel = expand_.panels.count * group / groups;
    const int64_t last_panel = expand_.panels.count * (group + 1) / groups;
    float* out = group == 0 ? y.mutable_data_ptr<float>() : partial[group - 1].mutable_data_ptr<float>();
    compute(x,
            {image, out_height * strip / strips, out_height * (strip + 1) / strips, out_width, first_panel, last_panel,
             groups == 1 ? 0 : first_panel * expand_.panels.width,
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

void InvertedResidual::compute(const at::Tensor& x, const Part& part, float* scratch) const {
  const int64_t height = x.size(2), width = x.size(3), channels = part.last - part.first;
  const int64_t rows = part.last_row - part.first_row, in_rows = (rows - 1) * stride_ + 3;
  const int64_t top = part.first_row * stride_ - 1, row = (width + 2) * channels;
  const float* image = x.const_data_ptr<float>() + part.image * height * width * in_channels_;

  // The expanded rows, with the zeros that pad them.
  float* expanded = scratch;
  std::vector<const float*> pixels;
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < in_rows; i++) {
    float* to = expanded + i * row;
    if (top + i < 0 || top + i >= height) {
      std::fill_n(to, row, 0.0F);
      continue;
    }
    std::fill_n(to, channels, 0.0F);
    std::fill_n(to + row - channels, channels, 0.0F);
    const float* from = image + (top + i) * width * in_channels_;
    if (!expands_) std::copy_n(from, width * channels, to + channels);
    for (int64_t column = 0; expands_ && column < width; column++) {
      pixels.push_back(from + column * in_channels_);
      offsets.push_back(i * row + (column + 1) * channels - part.first);
    }
  }
  if (expands_)
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
        .out = expanded,
        .stride = 0,
        .epilogue = {activation_, nullptr},
        .offsets = offsets.data(),
    });

  float* filtered = scratch + in_rows * row;
  for (int64_t i = 0; i < rows; i++) {
    const float* first = expanded + i * stride_ * row;
    const float* window[] = {first, first + row, first + 2 * row};
    table().depthwise({
        .rows = window,
        .out_width = part.out_width,
        .channels = channels,
        .stride = stride_,
        .weights = depthwise_.const_data_ptr<float>() + part.first,
        .weight_stride = hidden_,
        .bias = depthwise_bias_.const_data_ptr<float>() + part.first,
        .out = filtered + i * part.out_width * channels,
        .activation = activation_,
    });
  }

  const int64_t count = rows * part.out_width, begin = part.first_row * part.out_width * out_channels_;
  pixels.resize(count);
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

}  // namespace visiontorch::infer
