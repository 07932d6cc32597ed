#include "ops/batch_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>
#include <vector>

#include "runtime/error.h"
#include "runtime/parallel.h"
#include "runtime/simd.h"

namespace visiontorch::ops {

namespace {

// The inner loops run over channels, which are contiguous. `ivdep`: the arrays are the same or do not overlap.

constexpr int64_t kBlockRows = 512;      // rows (pixels) that are summed up before the sums are combined
constexpr int64_t kCachedValues = 4096;  // that are still in the first-level cache when they are read again

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

// The largest value that lets a gradient pass: ReLU6 stops it above 6.
float upper_limit(nn::Fused activation) {
  return activation == Activation::ReLU6 ? 6.0f : std::numeric_limits<float>::infinity();
}
float lower_limit(nn::Fused activation) { return activation ? 0.0f : -std::numeric_limits<float>::infinity(); }

// The same for a result that is not rounded to T yet: from half a step of bfloat16 below 6 on, it will be 6. To round
// each would not be vectorised.
template <class T>
float upper_limit_unrounded(nn::Fused activation) {
  return upper_limit(activation) - (std::is_same_v<T, float> ? 0 : 0x1p-6F);
}

// Sums of (x - shift) and of its square by channel. A shift near the mean keeps the variance exact where the mean is
// large against it.
template <class T>
VISIONTORCH_SIMD void sum_block(const T* x, const float* shift, int64_t rows, int64_t channels, float* sum,
                                float* square) {
  for (int64_t c = 0; c < channels; c++) sum[c] = square[c] = 0;
  int64_t row = 0;
  // Four rows at a time: the sums, which are in memory, are read and written a quarter as often.
  for (; row + 4 <= rows; row += 4, x += 4 * channels)
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) {
      const float d0 = static_cast<float>(x[c]) - shift[c];
      const float d1 = static_cast<float>(x[c + channels]) - shift[c];
      const float d2 = static_cast<float>(x[c + 2 * channels]) - shift[c];
      const float d3 = static_cast<float>(x[c + 3 * channels]) - shift[c];
      sum[c] += (d0 + d1) + (d2 + d3);
      square[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  for (; row < rows; row++, x += channels)
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) {
      const float d = static_cast<float>(x[c]) - shift[c];
      sum[c] += d;
      square[c] += d * d;
    }
}

template <class T>
VISIONTORCH_SIMD void apply_block(const T* x, const T* residual, const float* scale, const float* offset, int64_t rows,
                                  int64_t channels, float low, float high, T* y) {
  for (int64_t row = 0; row < rows; row++, x += channels, y += channels) {
    if (residual != nullptr) {
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) {
        const float v = static_cast<float>(x[c]) * scale[c] + offset[c] + static_cast<float>(residual[c]);
        y[c] = static_cast<T>(std::min(std::max(v, low), high));
      }
      residual += channels;
    } else {
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; c++) {
        const float v = static_cast<float>(x[c]) * scale[c] + offset[c];
        y[c] = static_cast<T>(std::min(std::max(v, low), high));
      }
    }
  }
}

// Whether the activation let a gradient pass, of a result that is computed from x again: these loops wait for the
// memory, and the result would be one more thing to read.
template <class T>
struct Gate {
  const float *scale, *offset;
  float low, high;

  float pass(T gradient, T x, int64_t c) const {
    const float out = static_cast<float>(x) * scale[c] + offset[c];
    return (out > low) & (out < high) ? static_cast<float>(gradient) : 0.0f;
  }
};

// Adds up g, the gradient where the activation let it pass, and g * (x - mean).
template <class T>
VISIONTORCH_SIMD void gradient_sum_block(const T* gradient, const T* x, const Gate<T>& gate, const float* mean,
                                         int64_t rows, int64_t channels, float* sum, float* dot) {
  int64_t row = 0;
  for (; row + 2 <= rows; row += 2, gradient += 2 * channels, x += 2 * channels)
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) {
      const float g0 = gate.pass(gradient[c], x[c], c), g1 = gate.pass(gradient[c + channels], x[c + channels], c);
      sum[c] += g0 + g1;
      dot[c] += g0 * (static_cast<float>(x[c]) - mean[c]) + g1 * (static_cast<float>(x[c + channels]) - mean[c]);
    }
  if (row < rows)
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++) {
      const float g0 = gate.pass(gradient[c], x[c], c);
      sum[c] += g0;
      dot[c] += g0 * (static_cast<float>(x[c]) - mean[c]);
    }
}

// dx = a * g + b * (x - mean) + d, with a, b, d by channel.
template <class T>
VISIONTORCH_SIMD void gradient_apply_block(const T* gradient, const T* x, const Gate<T>& gate, const float* mean,
                                           const float* a, const float* b, const float* d, int64_t rows,
                                           int64_t channels, T* dx) {
  for (int64_t row = 0; row < rows; row++, gradient += channels, x += channels, dx += channels)
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; c++)
      dx[c] =
          static_cast<T>(a[c] * gate.pass(gradient[c], x[c], c) + b[c] * (static_cast<float>(x[c]) - mean[c]) + d[c]);
}

// The gradient where the activation let it pass, as y, its result, says: x alone does not where a residual was added.
template <class T>
VISIONTORCH_SIMD void stop_block(const T* gradient, const T* y, int64_t count, float low, float high, T* g) {
  for (int64_t i = 0; i < count; i++) {
    const float out = static_cast<float>(y[i]), value = static_cast<float>(gradient[i]);
    g[i] = static_cast<T>((out > low) & (out < high) ? value : 0.0f);
  }
}

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
  for (int64_t c = 0; c < channels; c++) shift[static_cast<size_t>(c)] = static_cast<float>(x[c]);
  std::vector<float> sums(static_cast<size_t>(shape.blocks() * channels)), squares(sums.size());
  for_each_block(shape, [&](int64_t block, int64_t begin, int64_t end) {
    sum_block(x + begin * channels, shift.data(), end - begin, channels, sums.data() + block * channels,
              squares.data() + block * channels);
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
  const int64_t channels = shape.channels;
  const T* source = x.const_data_ptr<T>();
  const T* added = residual.defined() ? residual.const_data_ptr<T>() : nullptr;
  T* target = y.data_ptr<T>();
  const float low = lower_limit(activation), high = upper_limit(activation);
  for_each_block(shape, [&](int64_t, int64_t begin, int64_t end) {
    const int64_t at = begin * channels;
    apply_block(source + at, added == nullptr ? nullptr : added + at, scale.const_data_ptr<float>(),
                offset.const_data_ptr<float>(), end - begin, channels, low, high, target + at);
  });
}

struct Gradients {
  at::Tensor x, residual, weight, bias;
};

// Ioffe & Szegedy 2015, arXiv:1502.03167, section 3: with xhat = (x - mean) * inverse_std and n values a channel,
// dx = weight * inverse_std * (g - sum(g) / n - xhat * sum(g * xhat) / n). y: the result, where a
// residual was added before an activation.
template <class T>
Gradients differentiate(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                        const at::Tensor& mean, const at::Tensor& inverse_std, Gate<T> gate) {
  const Shape shape = shape_of(x);
  const int64_t channels = shape.channels, cached = std::max<int64_t>(2, kCachedValues / channels / 2 * 2);
  Gradients result;
  const T *passed = gradient.const_data_ptr<T>(), *source = x.const_data_ptr<T>();
  T* residual = nullptr;
  const Gate<T> stop = gate;
  if (y.defined()) {
    result.residual = at::empty_like(x);
    residual = result.residual.data_ptr<T>();
    gate.low = -std::numeric_limits<float>::infinity();
    gate.high = std::numeric_limits<float>::infinity();
  }
  std::vector<float> sums(static_cast<size_t>(shape.blocks() * channels)), dots(sums.size());
  for_each_block(shape, [&](int64_t block, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += cached) {
      const int64_t at = row * channels, rows = std::min(cached, end - row);
      if (residual != nullptr)
        stop_block(passed + at, y.const_data_ptr<T>() + at, rows * channels, stop.low, stop.high, residual + at);
      gradient_sum_block((residual != nullptr ? residual : passed) + at, source + at, gate,
                         mean.const_data_ptr<float>(), rows, channels, sums.data() + block * channels,
                         dots.data() + block * channels);
    }
  });
  std::vector<double> sum, dot;
  combine(sums, shape, sum);
  combine(dots, shape, dot);

  result.weight = at::empty({channels}, at::kFloat);
  result.bias = at::empty({channels}, at::kFloat);
  std::vector<float> a(static_cast<size_t>(channels)), b(a.size()), d(a.size());
  const auto n = static_cast<double>(shape.rows);
  for (int64_t c = 0; c < channels; c++) {
    const auto i = static_cast<size_t>(c);
    const double inverse = inverse_std.const_data_ptr<float>()[c];
    const double scale = weight.const_data_ptr<float>()[c] * inverse;
    result.weight.data_ptr<float>()[c] = static_cast<float>(dot[i] * inverse);
    result.bias.data_ptr<float>()[c] = static_cast<float>(sum[i]);
    a[i] = static_cast<float>(scale);
    b[i] = static_cast<float>(-scale * dot[i] * inverse * inverse / n);
    d[i] = static_cast<float>(-scale * sum[i] / n);
  }
  if (residual != nullptr) passed = residual;
  result.x = at::empty_like(x);
  for_each_block(shape, [&](int64_t, int64_t begin, int64_t end) {
    const int64_t at = begin * channels;
    gradient_apply_block(passed + at, source + at, gate, mean.const_data_ptr<float>(), a.data(), b.data(), d.data(),
                         end - begin, channels, result.x.data_ptr<T>() + at);
  });
  return result;
}

class BatchNormActivation : public torch::autograd::Function<BatchNormActivation> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& residual, const at::Tensor& weight, const at::Tensor& bias,
                            const BatchNorm2d& norm, nn::Fused activation) {
    at::Tensor y = at::empty_like(x), scale, offset;
    Statistics statistics;
    auto run = [&]<class T>(T) {
      statistics = statistics_of(x.const_data_ptr<T>(), shape_of(x));
      scale = weight * statistics.inverse_std;
      offset = bias - statistics.mean * scale;
      normalize<T>(x, residual.value_or(at::Tensor()), scale, offset, activation, y);
    };
    x.scalar_type() == at::kFloat ? run(float()) : run(at::BFloat16());
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
    auto run = [&]<class T>(T) {
      const Gate<T> gate{saved[5].const_data_ptr<float>(), saved[6].const_data_ptr<float>(), lower_limit(activation),
                         upper_limit_unrounded<T>(activation)};
      return differentiate<T>(gradient, x, y, weight, mean, inverse_std, gate);
    };
    Gradients result = x.scalar_type() == at::kFloat ? run(float()) : run(at::BFloat16());
    if (context->saved_data["residual"].toBool() && !activation) result.residual = gradient;
    return {result.x, result.residual, result.weight, result.bias, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool fuses_batch_norm(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast);
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
