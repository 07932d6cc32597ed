#include "ops/batch_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <bit>
#include <cmath>
#include <vector>

#include "ops/packing.h"
#include "runtime/error.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

namespace {

constexpr int64_t kBlockRows = 512;  // rows (pixels) that are summed up before the sums are combined

struct Shape {
  int64_t rows, channels;  // n * h * w, c
  int64_t blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
};

Shape shape_of(const at::Tensor& x) { return {x.numel() / x.size(1), x.size(1)}; }

template <class Work>
void for_each_block(const Shape& shape, const Work& work) {
  parallel_tasks(shape.blocks(), [&](int64_t block, int) {
    work(block, block * kBlockRows, std::min(shape.rows, (block + 1) * kBlockRows));
  });
}

template <class T>
const kernels::BatchNormKernels<T>& kernels_of() {
  if constexpr (std::is_same_v<T, float>) {
    return table().batch_norm;
  } else {
    return table().batch_norm_bfloat16;
  }
}

// What is larger has left the cache when the next operation begins with its start.
template <class T>
bool streams(const Shape& shape) {
  constexpr int64_t kStreamed = 8 << 20;
  return shape.rows * shape.channels * static_cast<int64_t>(sizeof(T)) >= kStreamed;
}

float value_of(float x) { return x; }
float value_of(kernels::BFloat16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// Adds the blocks' sums, in their order, in double.
void combine(const std::vector<float>& blocks, const Shape& shape, std::vector<double>& total) {
  total.assign(static_cast<size_t>(shape.channels), 0.0);
  for (int64_t block = 0; block < shape.blocks(); block++)
    for (int64_t c = 0; c < shape.channels; c++)
      total[static_cast<size_t>(c)] += blocks[static_cast<size_t>(block * shape.channels + c)];
}

struct Statistics {
  at::Tensor mean, inverse_std;  // float32
  std::vector<double> unbiased_variance;
};

template <class T>
Statistics statistics_of(const T* x, const Shape& shape) {
  const int64_t channels = shape.channels;
  std::vector<float> shift(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; c++) shift[static_cast<size_t>(c)] = value_of(x[c]);
  std::vector<float> sums(static_cast<size_t>(shape.blocks() * channels)), squares(sums.size());
  for_each_block(shape, [&](int64_t block, int64_t begin, int64_t end) {
    kernels_of<T>().sums({.x = x + begin * channels,
                          .rows = end - begin,
                          .channels = channels,
                          .shift = shift.data(),
                          .sum = sums.data() + block * channels,
                          .square = squares.data() + block * channels});
  });
  std::vector<double> sum, square;
  combine(sums, shape, sum);
  combine(squares, shape, square);

  Statistics result{at::empty({channels}, at::kFloat), at::empty({channels}, at::kFloat), {}};
  auto* mean = result.mean.data_ptr<float>();
  auto* inverse_std = result.inverse_std.data_ptr<float>();
  const auto n = static_cast<double>(shape.rows);
  for (int64_t c = 0; c < channels; c++) {
    const auto i = static_cast<size_t>(c);
    const double offset = sum[i] / n;
    const double variance = std::max(0.0, square[i] / n - offset * offset);
    mean[c] = static_cast<float>(shift[i] + offset);
    inverse_std[c] = static_cast<float>(1 / std::sqrt(variance + BatchNorm2d::kEps));
    result.unbiased_variance.push_back(variance * n / (n - 1));
  }
  return result;
}

// PyTorch: running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
void update_running(const BatchNorm2d& norm, const Statistics& statistics) {
  auto* mean = norm.running_mean.data_ptr<float>();
  auto* variance = norm.running_var.data_ptr<float>();
  const auto* batch_mean = statistics.mean.const_data_ptr<float>();
  constexpr double m = BatchNorm2d::kMomentum;
  for (int64_t c = 0; c < norm.num_features; c++) {
    mean[c] = static_cast<float>((1 - m) * mean[c] + m * batch_mean[c]);
    variance[c] = static_cast<float>((1 - m) * variance[c] + m * statistics.unbiased_variance[static_cast<size_t>(c)]);
  }
  norm.num_batches_tracked.add_(1);
}

template <class T>
void normalize(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& scale, const at::Tensor& offset,
               nn::Fused activation, at::Tensor& y) {
  const Shape shape = shape_of(x);
  T* target = mutable_data<T>(y);
  for_each_block(shape, [&](int64_t, int64_t begin, int64_t end) {
    const int64_t at = begin * shape.channels;
    kernels_of<T>().apply({.x = data<T>(x) + at,
                           .rows = end - begin,
                           .channels = shape.channels,
                           .scale = scale.const_data_ptr<float>(),
                           .offset = offset.const_data_ptr<float>(),
                           .residual = residual.defined() ? data<T>(residual) + at : nullptr,
                           .activation = kind(activation),
                           .y = target + at,
                           .stream = streams<T>(shape)});
  });
}

struct Gradients {
  at::Tensor x, residual, weight, bias;
};

// Ioffe & Szegedy 2015, arXiv:1502.03167, section 3: with xhat = (x - mean) * inverse_std and n values a channel,
// dx = weight * inverse_std * (g - sum(g) / n - xhat * sum(g * xhat) / n). y: the result, where a residual was added
// before an activation; otherwise what passed the activation is computed again from x, scale and offset.
template <class T>
Gradients differentiate(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                        const at::Tensor& mean, const at::Tensor& inverse_std, const at::Tensor& scale,
                        const at::Tensor& offset, nn::Fused activation) {
  const Shape shape = shape_of(x);
  const int64_t channels = shape.channels;
  Gradients result;
  kernels::BatchNormGradient<T> work{.gradient = data<T>(gradient),
                                     .x = data<T>(x),
                                     .rows = shape.rows,
                                     .channels = channels,
                                     .mean = mean.const_data_ptr<float>(),
                                     .scale = scale.const_data_ptr<float>(),
                                     .offset = offset.const_data_ptr<float>(),
                                     .y = y.defined() ? data<T>(y) : nullptr,
                                     .activation = kind(activation),
                                     .stream = streams<T>(shape)};
  if (y.defined()) {
    result.residual = at::empty_like(x);
    work.passed = mutable_data<T>(result.residual);
  }
  auto rows = [&](int64_t begin, int64_t end) {
    kernels::BatchNormGradient<T> part = work;
    part.rows = end - begin;
    for (const T** values : {&part.gradient, &part.x, &part.y})
      if (*values) *values += begin * channels;
    for (T** values : {&part.passed, &part.dx})
      if (*values) *values += begin * channels;
    return part;
  };
  std::vector<float> sums(static_cast<size_t>(shape.blocks() * channels)), dots(sums.size());
  for_each_block(shape, [&](int64_t block, int64_t begin, int64_t end) {
    kernels::BatchNormGradient<T> part = rows(begin, end);
    part.sum = sums.data() + block * channels;
    part.dot = dots.data() + block * channels;
    kernels_of<T>().gradient_sums(part);
  });
  std::vector<double> sum, dot;
  combine(sums, shape, sum);
  combine(dots, shape, dot);

  result.weight = at::empty({channels}, at::kFloat);
  result.bias = at::empty({channels}, at::kFloat);
  std::vector<float> of_gradient(static_cast<size_t>(channels)), of_centered(of_gradient.size()),
      constant(of_gradient.size());
  const auto n = static_cast<double>(shape.rows);
  for (int64_t c = 0; c < channels; c++) {
    const auto i = static_cast<size_t>(c);
    const double inverse = inverse_std.const_data_ptr<float>()[c];
    const double factor = weight.const_data_ptr<float>()[c] * inverse;
    result.weight.data_ptr<float>()[c] = static_cast<float>(dot[i] * inverse);
    result.bias.data_ptr<float>()[c] = static_cast<float>(sum[i]);
    of_gradient[i] = static_cast<float>(factor);
    of_centered[i] = static_cast<float>(-factor * dot[i] * inverse * inverse / n);
    constant[i] = static_cast<float>(-factor * sum[i] / n);
  }
  if (y.defined()) {  // decided already
    work.gradient = work.passed;
    work.y = nullptr;
    work.activation = kernels::Activation::None;
  }
  result.x = at::empty_like(x);
  work.dx = mutable_data<T>(result.x);
  work.of_gradient = of_gradient.data();
  work.of_centered = of_centered.data();
  work.constant = constant.data();
  for_each_block(shape, [&](int64_t, int64_t begin, int64_t end) { kernels_of<T>().gradient(rows(begin, end)); });
  return result;
}

class BatchNormActivation : public torch::autograd::Function<BatchNormActivation> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& residual, const at::Tensor& weight, const at::Tensor& bias,
                            const BatchNorm2d& norm, nn::Fused activation) {
    at::Tensor y = at::empty_like(x), scale, offset;
    Statistics statistics;
    with_type(x.scalar_type(), [&]<class T>(T) {
      statistics = statistics_of(data<T>(x), shape_of(x));
      scale = weight * statistics.inverse_std;
      offset = bias - statistics.mean * scale;
      normalize<T>(x, residual.value_or(at::Tensor()), scale, offset, activation, y);
    });
    update_running(norm, statistics);
    context->save_for_backward({x, residual.has_value() && activation ? y : at::Tensor(), weight, statistics.mean,
                                statistics.inverse_std, scale, offset});
    context->saved_data["activation"] = activation ? static_cast<int64_t>(*activation) : -1;
    context->saved_data["residual"] = residual.has_value();
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &y = saved[1], &weight = saved[2], &mean = saved[3], &inverse_std = saved[4];
    const at::Tensor gradient = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    nn::Fused activation;
    if (const int64_t kind = context->saved_data["activation"].toInt(); kind >= 0)
      activation = static_cast<Activation::Kind>(kind);
    Gradients result;
    with_type(x.scalar_type(), [&]<class T>(T) {
      result = differentiate<T>(gradient, x, y, weight, mean, inverse_std, saved[5], saved[6], activation);
    });
    if (context->saved_data["residual"].toBool() && !activation) result.residual = gradient;
    return {result.x, result.residual, result.weight, result.bias, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool fuses_batch_norm(const at::Tensor& x) {
  return x.is_cpu() && has_kernels(x.scalar_type()) && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

void check_batch_norm(const at::Tensor& x) {
  if (x.size(0) * x.size(2) * x.size(3) < 2)
    throw Error("ERR_INVALID_ARGUMENT",
                "batchSize: batch norm needs more than one value per channel in training, got one image of so small a "
                "size that one pixel is left; use a larger batch or inputSize");
}

at::Tensor batch_norm_activation(const BatchNorm2d& norm, const at::Tensor& x, const at::Tensor& residual,
                                 nn::Fused activation) {
  check_batch_norm(x);
  std::optional<at::Tensor> added;
  if (residual.defined()) added = residual.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  return BatchNormActivation::apply(x, added, norm.weight, norm.bias, norm, activation);
}

}  // namespace visiontorch::ops
