#include "ops/int8.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "ops/convolution.h"
#include "ops/dispatch.h"
#include "ops/pooling.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

using kernels::kByteSlack;
using kernels::Panels;

namespace {

const kernels::Int8Kernels& kernels_for_bytes() { return *kernels::int8_kernels(); }

constexpr int64_t kMostProducts = 1 << 16;  // whose sum fits 32 bits
constexpr int64_t kFewChannels = 16;        // of which a row of the window makes one tap
constexpr int64_t kGrain = 1 << 14;         // values that are converted at a time

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// The kernels read behind the last byte.
at::Tensor empty_bytes(at::IntArrayRef sizes, at::IntArrayRef strides, int64_t count) {
  return at::empty({count + kByteSlack}, at::kByte).as_strided(sizes, strides);
}

at::Tensor empty_image(at::IntArrayRef sizes, bool in_bytes) {
  const int64_t channels = sizes[1], height = sizes[2], width = sizes[3];
  if (!in_bytes) return at::empty(sizes, at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
  return empty_bytes(sizes, {height * width * channels, 1, width * channels, channels},
                     sizes[0] * height * width * channels);
}

bool has_slack(const at::Tensor& x) {
  return static_cast<int64_t>(x.storage().nbytes()) - x.storage_offset() - x.numel() >= kByteSlack;
}

// An image in bytes, channels-last, behind which the kernels may read.
at::Tensor input_bytes(const at::Tensor& input, const nn::ByteScale& scale) {
  const at::Tensor x =
      (input.scalar_type() == at::kByte ? input : input.to(at::kFloat)).contiguous(at::MemoryFormat::ChannelsLast);
  if (x.scalar_type() == at::kByte && has_slack(x)) return x;
  if (x.scalar_type() == at::kByte) return empty_image(x.sizes(), true).copy_(x);
  return to_bytes(x, scale);
}

// See Int8Kernels::widen. `x` is an image of input_bytes().
at::Tensor widened(const at::Tensor& x) {
  const int64_t count = x.numel() + kByteSlack;
  at::Tensor y = at::empty({count}, at::kShort);
  parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
    kernels_for_bytes().widen(data<uint8_t>(x) + begin, end - begin, mutable_data<uint16_t>(y) + begin);
  });
  return y.as_strided(x.sizes(), x.strides());
}

bool is_clamp(std::optional<nn::Activation> activation) {
  return !activation || *activation == nn::Activation::ReLU || *activation == nn::Activation::ReLU6;
}

// order(i): the channel of the i-th of the kernel's channels; sums: of a channel's weights.
template <class Order>
Int8Parameters parameters(const nn::QuantizedLayer& layer, const Int8Output& output, int64_t padded, const Order& order,
                          const std::vector<int64_t>& sums) {
  Int8Parameters result{std::vector<float>(padded), std::vector<float>(padded), std::vector<int32_t>(padded), {}};
  kernels::Requantization& r = result.requantization;
  const bool clamps = is_clamp(output.activation);
  const double step = output.scale ? output.scale->scale : 1, zero = output.scale ? output.scale->zero_point : 0;
  const double most = output.scale ? 255 : std::numeric_limits<double>::infinity();
  r.low = output.scale ? 0 : -std::numeric_limits<float>::infinity();
  r.high = static_cast<float>(most);
  if (!clamps) {
    r.activation = kind(output.activation);
    r.out_scale = static_cast<float>(1 / step);
    r.out_zero = static_cast<float>(zero);
  } else if (output.activation) {
    r.low = static_cast<float>(zero);
    if (*output.activation == nn::Activation::ReLU6) {
      const double six = std::min(most, 6 / step + zero);
      r.high = static_cast<float>(output.scale ? std::nearbyint(six) : six);
    }
  }
  const double unit = clamps ? step : 1;
  r.residual_scale = static_cast<float>((output.residual ? output.residual->scale : 1) / unit);
  const double added =
      (clamps ? zero : 0) - (output.residual ? output.residual->zero_point * double{output.residual->scale} / unit : 0);
  const auto* weight_scale = layer.weight_scale.const_data_ptr<float>();
  const auto* bias = layer.bias.const_data_ptr<float>();
  const at::Tensor factors = output.factors.defined() ? output.factors.to(at::kFloat).contiguous() : at::Tensor();
  const double largest_sum = 255.0 * 127 * static_cast<double>(layer.weight.numel() / layer.weight.size(0));
  double largest = 0;
  for (int64_t i = 0; i < padded; i++) {
    const int64_t channel = order(i);
    if (channel < 0 || channel >= layer.bias.numel()) continue;
    const double factor = factors.defined() ? factors.const_data_ptr<float>()[channel] : 1;
    result.scale[i] = static_cast<float>(double{weight_scale[channel]} * layer.input.scale * factor / unit);
    result.bias[i] = static_cast<float>(bias[channel] * factor / unit + added);
    result.start[i] = static_cast<int32_t>((kernels_for_bytes().shift - layer.input.zero_point) * sums[channel]);
    largest = std::max(largest, std::abs(double{result.scale[i]}) * largest_sum + std::abs(double{result.bias[i]}));
  }
  // No activation makes a value larger, except by less than 1.
  r.is_small = (largest + 255 * std::abs(double{r.residual_scale}) + 1) * r.out_scale + r.out_zero < 0x1p31;
  return result;
}

// Of the channels from `first` on.
kernels::Requantization requantization(const Int8Parameters& parameters, int64_t first = 0) {
  kernels::Requantization result = parameters.requantization;
  result.scale = parameters.scale.data() + first;
  result.bias = parameters.bias.data() + first;
  return result;
}

// Of each output's weights. at::sum would copy them as 64-bit integers: 800 MB for VGG's first linear layer.
std::vector<int64_t> sums_of(const at::Tensor& weight) {
  const at::Tensor bytes = weight.contiguous();
  const auto* from = bytes.const_data_ptr<int8_t>();
  const int64_t count = bytes.numel() / bytes.size(0);
  std::vector<int64_t> sums(bytes.size(0));
  parallel_ranges(bytes.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t out = begin; out < end; out++)
      sums[out] = std::accumulate(from + out * count, from + (out + 1) * count, int64_t{0});
  });
  return sums;
}

nn::Conv2d pointwise(const nn::Linear& linear) {
  return {.in_channels = linear.in_features, .out_channels = linear.out_features, .kernel_size = 1};
}

at::Tensor as_image(const at::Tensor& x) { return x.reshape({1, 1, -1, x.size(-1)}).permute({0, 3, 1, 2}); }

}  // namespace

bool has_int8_kernels() { return kernels::int8_kernels() != nullptr; }

at::Tensor to_bytes(const at::Tensor& x, const nn::ByteScale& scale) {
  if (x.scalar_type() == at::kByte) return x;
  const at::Tensor values = x.is_non_overlapping_and_dense() ? x : x.contiguous();
  at::Tensor bytes = empty_bytes(values.sizes(), values.strides(), values.numel());
  const auto* from = values.const_data_ptr<float>();
  auto* to = bytes.mutable_data_ptr<uint8_t>();
  parallel_ranges(values.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernels_for_bytes().quantize(from + begin, end - begin, 1 / scale.scale, scale.zero_point, to + begin);
  });
  return bytes;
}

at::Tensor rounded(const at::Tensor& x, const nn::ByteScale& scale) {
  const at::Tensor values = x.is_non_overlapping_and_dense() ? x : x.contiguous();
  at::Tensor y = at::empty_like(values);
  parallel_ranges(values.numel(), kGrain, [&](int64_t begin, int64_t end) {
    kernels_for_bytes().round(data<float>(values) + begin, end - begin, scale.scale, scale.zero_point,
                              mutable_data<float>(y) + begin);
  });
  return y;
}

at::Tensor scaled_bytes(const at::Tensor& input, const at::Tensor& factors, const nn::ByteScale& scale) {
  const at::Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast), of_image = factors.contiguous();
  const int64_t channels = x.size(1), pixels = x.size(2) * x.size(3);
  at::Tensor y = empty_image(x.sizes(), true);
  const auto* from = x.const_data_ptr<float>();
  auto* to = y.mutable_data_ptr<uint8_t>();
  const int64_t parts = std::min(pixels, std::max<int64_t>(1, 2 * at::get_num_threads() / x.size(0)));
  parallel_tasks(x.size(0) * parts, [&](int64_t task, int) {
    const int64_t image = task / parts, part = task % parts;
    const int64_t first = pixels * part / parts, at = (image * pixels + first) * channels;
    kernels_for_bytes().quantize_scaled({.from = from + at,
                                         .factors = of_image.const_data_ptr<float>() + image * channels,
                                         .pixels = pixels * (part + 1) / parts - first,
                                         .channels = channels,
                                         .inverse_scale = 1 / scale.scale,
                                         .zero_point = scale.zero_point,
                                         .to = to + at});
  });
  return y;
}

bool Int8Convolution::supports(const nn::Conv2d& conv) {
  if (!has_int8_kernels() || conv.dilation != 1) return false;
  // Winograd's algorithm in float32 is faster than products of widened bytes.
  if (kernels_for_bytes().widen && Convolution::supports_winograd(conv)) return false;
  const int64_t in_channels = conv.in_channels / conv.groups, out_channels = conv.out_channels / conv.groups;
  // Narrower groups would leave most of a vector empty.
  if (conv.groups > 1 && (in_channels < 8 || 2 * out_channels < kernels_for_bytes().lanes)) return false;
  return in_channels * conv.kernel_size.height * conv.kernel_size.width <= kMostProducts;
}

Int8Convolution::Int8Convolution(const nn::Conv2d& conv, const nn::QuantizedLayer& layer, const Int8Output& output)
    : windows_{conv.kernel_size.height, conv.kernel_size.width, conv.stride, conv.padding.height, conv.padding.width},
      out_channels_(conv.out_channels),
      groups_(conv.groups),
      merged_(conv.groups == 1 && conv.in_channels < kFewChannels && conv.kernel_size.width > 1),
      input_(layer.input),
      output_(output) {
  const kernels::Int8Kernels& kernels = kernels_for_bytes();
  const int64_t taps = merged_ ? windows_.height : windows_.height * windows_.width;
  const int64_t in_group = out_channels_ / groups_;
  // [out, taps, depth], where zeros fill up the depth
  const at::Tensor by_tap =
      layer.weight.reshape({out_channels_, conv.in_channels / groups_, windows_.height, windows_.width})
          .permute({0, 2, 3, 1})
          .reshape({out_channels_, taps, -1});
  const int64_t depth = round_up(by_tap.size(2), 4);
  const at::Tensor matrix = at::constant_pad_nd(by_tap, {0, depth - by_tap.size(2)}).contiguous();
  panels_ = kernels.layout(taps * depth, in_group, 1);
  const int64_t padded = panels_.padded_columns(), bytes = padded * panels_.rows * kernels.weight_size;
  weights_ = at::empty({groups_, bytes}, at::kByte);
  parallel_tasks(groups_, [&](int64_t group, int) {
    kernels.pack(matrix.const_data_ptr<int8_t>() + group * in_group * panels_.rows, panels_,
                 weights_.mutable_data_ptr<uint8_t>() + group * bytes);
  });
  auto channel = [&](int64_t i) { return i % padded < in_group ? i / padded * in_group + i % padded : -1; };
  parameters_ = parameters(layer, output, groups_ * padded, channel, sums_of(layer.weight));
}

at::Tensor Int8Convolution::operator()(const at::Tensor& input, const at::Tensor& residual) const {
  const at::Tensor x = input_bytes(input, input_);
  const int64_t height = (x.size(2) + 2 * windows_.top - windows_.height) / windows_.stride + 1;
  const int64_t width = (x.size(3) + 2 * windows_.left - windows_.width) / windows_.stride + 1;
  at::Tensor y = empty_image({x.size(0), out_channels_, height, width}, output_.scale.has_value());
  at::Tensor added;
  if (residual.defined())
    added = output_.residual ? input_bytes(residual, *output_.residual)
                             : residual.contiguous(at::MemoryFormat::ChannelsLast);
  const bool widens = kernels_for_bytes().widen;
  const at::Tensor values = widens ? widened(x) : x;
  if (output_.scale)
    widens ? multiply<uint16_t, uint8_t>(values, y, added) : multiply<uint8_t, uint8_t>(values, y, added);
  else
    widens ? multiply<uint16_t, float>(values, y, added) : multiply<uint8_t, float>(values, y, added);
  return y;
}

template <class In, class Out>
void Int8Convolution::multiply(const at::Tensor& x, at::Tensor& y, const at::Tensor& residual) const {
  const kernels::Int8Kernels& kernels = kernels_for_bytes();
  const int64_t channels = x.size(1), pixels = x.size(0) * y.size(2) * y.size(3);
  const WindowRows<In> windows(windows_, merged_, {data<In>(x), x.size(2), x.size(3), channels}, {y.size(2), y.size(3)},
                               input_.zero_point, kByteSlack);
  Panels panels = panels_;
  panels.count *= groups_;
  const Partition partition(pixels, channels * windows_.stride * windows_.stride / 4 + 1, panels,
                            kernels.tile_rows(panels_));
  Out* out = y.mutable_data_ptr<Out>();
  const bool in_bytes = residual.defined() && residual.scalar_type() == at::kByte;
  const uint8_t* bytes = in_bytes ? residual.const_data_ptr<uint8_t>() : nullptr;
  const float* floats = residual.defined() && !in_bytes ? residual.const_data_ptr<float>() : nullptr;
  parallel_tasks(partition.blocks * partition.groups, [&](int64_t task, int) {
    const int64_t block = task / partition.groups, part = task % partition.groups;
    const int64_t begin = pixels * block / partition.blocks, count = pixels * (block + 1) / partition.blocks - begin;
    const auto rows = windows.of(begin, count);
    const int64_t end = panels.count * (part + 1) / partition.groups;
    for (int64_t first = panels.count * part / partition.groups, last = first; first < end; first = last) {
      const int64_t group = first / panels_.count, of_group = group * panels_.count;
      last = std::min(end, of_group + panels_.count);
      const int64_t at = begin * out_channels_ + group * panels_.columns, padded = group * panels_.padded_columns();
      const kernels::Int8Gemm<Out> product{
          .rows = reinterpret_cast<const void* const*>(rows.pointers.data()),
          .count = count,
          .taps = windows.taps(),
          .depth = panels_.rows / windows.taps(),
          .panels = panels_,
          .weights = weights_.const_data_ptr<uint8_t>() + group * weights_.size(1),
          .start = parameters_.start.data() + padded,
          .first = first - of_group,
          .last = last - of_group,
          .out = out + at,
          .stride = out_channels_,
          .requantization = requantization(parameters_, padded),
          .residual_bytes = bytes ? bytes + at : nullptr,
          .residual_floats = floats ? floats + at : nullptr,
          .offset = group * (channels / groups_),
      };
      if constexpr (std::is_same_v<Out, float>) {
        kernels.gemm_to_float(product);
      } else {
        kernels.gemm(product);
      }
    }
  });
}

bool Int8Linear::supports(const nn::Linear& linear) { return Int8Convolution::supports(pointwise(linear)); }

Int8Linear::Int8Linear(const nn::Linear& linear, const nn::QuantizedLayer& layer, const Int8Output& output)
    : product_(pointwise(linear), layer, output) {}

at::Tensor Int8Linear::operator()(const at::Tensor& x, const at::Tensor& residual) const {
  std::vector<int64_t> sizes = x.sizes().vec();
  const at::Tensor y = product_(as_image(x), residual.defined() ? as_image(residual) : at::Tensor());
  sizes.back() = y.size(1);
  return y.permute({0, 2, 3, 1}).view(sizes);
}

bool Int8Depthwise::supports(const nn::Conv2d& conv) {
  const int64_t size = conv.kernel_size.height;
  return has_int8_kernels() && conv.is_depthwise() && conv.dilation == 1 && conv.kernel_size.is_square() &&
         (size == 3 || size == 5 || size == 7) && conv.padding == size / 2 && conv.stride <= 2;
}

Int8Depthwise::Int8Depthwise(const nn::Conv2d& conv, const nn::QuantizedLayer& layer, const Int8Output& output)
    : channels_(conv.out_channels),
      kernel_size_(conv.kernel_size.height),
      stride_(conv.stride),
      input_(layer.input),
      in_bytes_(output.scale.has_value()),
      outside_(channels_ + kByteSlack, layer.input.zero_point) {
  const kernels::Int8Kernels& kernels = kernels_for_bytes();
  const int64_t width = kernels.depthwise_width(), rows = round_up(kernel_size_, 4);
  const int64_t padded = round_up(channels_, width);
  panels_ = {kernel_size_ * rows, padded, width, padded / width};
  const int64_t out_rows = kernels::Int8Kernels::depthwise_rows(kernel_size_, stride_);
  const int64_t bytes = padded * panels_.rows * kernels.weight_size;
  weights_ = at::empty({out_rows, bytes}, at::kByte);
  const auto* weight = layer.weight.const_data_ptr<int8_t>();
  for (int64_t out_row = 0; out_row < out_rows; out_row++) {
    std::vector<int8_t> matrix(padded * panels_.rows);  // [channel][column][row]
    for (int64_t i = 0; i < padded; i++) {
      const int64_t channel = kernels.depthwise_order(i);
      if (channel >= channels_) continue;
      for (int64_t y = 0; y < kernel_size_; y++)
        for (int64_t x = 0; x < kernel_size_; x++)
          matrix[i * panels_.rows + x * rows + out_row * stride_ + y] =
              weight[(channel * kernel_size_ + y) * kernel_size_ + x];
    }
    kernels.pack(matrix.data(), panels_, weights_.mutable_data_ptr<uint8_t>() + out_row * bytes);
  }
  parameters_ =
      parameters(layer, output, padded, [&](int64_t i) { return kernels.depthwise_order(i); }, sums_of(layer.weight));
}

at::Tensor Int8Depthwise::operator()(const at::Tensor& input, at::Tensor* means) const {
  const at::Tensor x = input_bytes(input, input_);
  at::Tensor y =
      empty_image({x.size(0), channels_, (x.size(2) - 1) / stride_ + 1, (x.size(3) - 1) / stride_ + 1}, in_bytes_);
  in_bytes_ ? run<uint8_t>(x, y, nullptr) : run<float>(x, y, means);
  return y;
}

template <class Out>
void Int8Depthwise::run(const at::Tensor& x, at::Tensor& y, at::Tensor* means) const {
  const kernels::Int8Kernels& kernels = kernels_for_bytes();
  const int64_t height = x.size(2), width = x.size(3), out_height = y.size(2), out_width = y.size(3);
  const int64_t scratch_size = kernels.depthwise_scratch(width, kernel_size_);
  at::Tensor scratch = at::empty({at::get_num_threads(), scratch_size}, at::kByte);
  const auto* images = x.const_data_ptr<uint8_t>();
  Out* out = y.mutable_data_ptr<Out>();
  at::Tensor row_sums = at::empty({means ? x.size(0) : 0, out_height, channels_}, at::kFloat);
  // A few rows at a time; of small images, the panels in two parts, so that the threads finish together.
  const int64_t at_once = weights_.size(0), blocks = (out_height + at_once - 1) / at_once;
  const int64_t parts = x.size(0) * blocks < 8 * at::get_num_threads() ? std::min<int64_t>(2, panels_.count) : 1;
  parallel_tasks(x.size(0) * blocks * parts, [&](int64_t task, int thread) {
    const int64_t part = task % parts, image = task / parts / blocks, first = task / parts % blocks * at_once;
    std::array<const uint8_t*, 8> rows;
    for (int64_t i = 0; i < round_up(kernel_size_, 4); i++) {
      const int64_t in_y = first * stride_ - kernel_size_ / 2 + i;
      rows[i] = in_y >= 0 && in_y < height ? images + (image * height + in_y) * width * channels_ : outside_.data();
    }
    const int64_t out_row = image * out_height + first;
    const kernels::Int8Depthwise<Out> depthwise{
        .rows = rows.data(),
        .zeros = outside_.data(),
        .width = width,
        .channels = channels_,
        .kernel_size = kernel_size_,
        .stride = stride_,
        .padding = kernel_size_ / 2,
        .out_width = out_width,
        .out_rows = std::min(at_once, out_height - first),
        .panels = panels_,
        .weights = weights_.const_data_ptr<uint8_t>(),
        .start = parameters_.start.data(),
        .first = panels_.count * part / parts,
        .last = panels_.count * (part + 1) / parts,
        .out = out + out_row * out_width * channels_,
        .requantization = requantization(parameters_),
        .sums = means ? row_sums.mutable_data_ptr<float>() + out_row * channels_ : nullptr,
    };
    uint8_t* memory = scratch.mutable_data_ptr<uint8_t>() + thread * scratch_size;
    if constexpr (std::is_same_v<Out, float>) {
      kernels.depthwise_to_float(depthwise, memory);
    } else {
      kernels.depthwise(depthwise, memory);
    }
  });
  if (means) *means = mean_of_rows(row_sums, out_width);
}

at::Tensor int8_max_pool(const at::Tensor& input, const nn::MaxPool2d& pool) {
  const at::Tensor x = input_bytes(input, {});
  const nn::Shape shape = pool.output_shape({x.size(1), x.size(2), x.size(3)});
  const int64_t channels = shape[0], out_height = shape[1], out_width = shape[2];
  const int64_t image_size = x.size(2) * x.size(3) * channels;
  at::Tensor y = empty_image({x.size(0), channels, out_height, out_width}, true);
  const auto* images = x.const_data_ptr<uint8_t>();
  auto* out = y.mutable_data_ptr<uint8_t>();
  parallel_tasks(x.size(0) * out_height, [&](int64_t row, int) {
    kernels_for_bytes().max_pool_row({.image = images + row / out_height * image_size,
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
  return y;
}

}  // namespace visiontorch::ops
