#include "autograd/batch_norm.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "ops/dispatch.h"
#include "runtime/error.h"
#include "runtime/parallel.h"

namespace visiontorch::autograd {

using nn::BatchNorm2d;
using ops::data;
using ops::mutable_data;
using ops::RowsDone;
using ops::table;
using ops::with_type;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

constexpr int64_t kBlockRows = 512;  // rows (pixels) that are summed up before the sums are combined

struct Shape {
  int64_t rows, channels;  // n * h * w, c
  int64_t blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
};

Shape shape_of(const at::Tensor& x) { return {x.numel() / x.size(1), x.size(1)}; }

template <class Work>
void for_each_block(const Shape& shape, const Work& work) {
  parallel_tasks(shape.blocks(),
                 [&](int64_t block, int) { work(block * kBlockRows, std::min(shape.rows, (block + 1) * kBlockRows)); });
}

// Returns whether the tensor is so large that its start leaves the cache before the next operation reads it.
template <class T>
bool streams(const Shape& shape) {
  constexpr int64_t kStreamed = 8 << 20;
  return shape.rows * shape.channels * static_cast<int64_t>(sizeof(T)) >= kStreamed;
}

float value_of(float x) { return x; }
float value_of(kernels::BFloat16 x) { return std::bit_cast<float>(uint32_t{x.bits} << 16); }

// Sums two quantities per channel: over each block of rows in float32, and over the blocks in double, in the order of
// the rows.
class BlockSums {
 public:
  explicit BlockSums(int64_t channels) : channels_(static_cast<size_t>(channels)) {}

  // Returns the sums of a block, [2][channels]. Thread-safe.
  float* of(int64_t first_row) {
    const std::scoped_lock lock(mutex_);
    return blocks_.try_emplace(first_row, 2 * channels_).first->second.data();
  }

  std::vector<double> total() const {  // [2][channels]
    std::vector<double> total(2 * channels_);
    for (const auto& [row, sums] : blocks_)
      for (size_t i = 0; i < sums.size(); i++) total[i] += sums[i];
    return total;
  }

 private:
  size_t channels_;
  std::map<int64_t, std::vector<float>> blocks_;
  std::mutex mutex_;
};

at::Tensor tensor_of(std::vector<double>& values) {
  return at::from_blob(values.data(), {std::ssize(values)}, at::kDouble);
}

[[noreturn]] void refuse_single_value() {
  throw Error("ERR_INVALID_ARGUMENT",
              "batchSize: batch norm needs more than one value per channel in training, got one image of so small a "
              "size that one pixel is left; use a larger batch or inputSize");
}

// Turns this rank's sums of x - shift into sums of x over all ranks, whose number of rows it gives.
double sum_over_ranks(const Ranks& ranks, std::vector<double>& sums, std::vector<float>& shift, double rows) {
  const size_t channels = shift.size();
  for (size_t i = 0; i < channels; i++) {
    const double by = std::exchange(shift[i], 0.0F);
    sums[channels + i] += by * (2 * sums[i] + rows * by);
    sums[i] += rows * by;
  }
  sums.push_back(rows);
  if (!ranks.has_images) std::fill(sums.begin(), sums.end(), 0);
  ranks.sum(tensor_of(sums));
  if (sums.back() < 2) refuse_single_value();
  return sums.back();
}

struct Statistics {
  at::Tensor mean, inverse_std;  // float32
  std::vector<double> unbiased_variance;
  double rows;  // of all ranks
};

template <class T>
Statistics statistics_of(const T* x, const Shape& shape, const BatchNorm2d& norm, const Ranks* ranks) {
  const int64_t channels = shape.channels;
  std::vector<float> shift(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; c++) shift[static_cast<size_t>(c)] = value_of(x[c]);
  BlockSums blocks(channels);
  for_each_block(shape, [&](int64_t begin, int64_t end) {
    float* sums = blocks.of(begin);
    table().of<T>().batch_norm_sums({.x = x + begin * channels,
                                     .rows = end - begin,
                                     .channels = channels,
                                     .shift = shift.data(),
                                     .sum = sums,
                                     .square = sums + channels});
  });
  std::vector<double> total = blocks.total();
  const auto rows = static_cast<double>(shape.rows);
  const double n = ranks ? sum_over_ranks(*ranks, total, shift, rows) : rows;

  Statistics result{at::empty({channels}, at::kFloat), at::empty({channels}, at::kFloat), {}, n};
  auto* mean = result.mean.data_ptr<float>();
  auto* inverse_std = result.inverse_std.data_ptr<float>();
  for (int64_t c = 0; c < channels; c++) {
    const auto i = static_cast<size_t>(c);
    const double offset = total[i] / n;
    const double variance = std::max(0.0, total[channels + i] / n - offset * offset);
    mean[c] = static_cast<float>(shift[i] + offset);
    inverse_std[c] = static_cast<float>(1 / std::sqrt(variance + norm.eps));
    result.unbiased_variance.push_back(variance * n / (n - 1));
  }
  return result;
}

// PyTorch: running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
void update_running(const BatchNorm2d& norm, const Statistics& statistics) {
  auto* mean = norm.running_mean.data_ptr<float>();
  auto* variance = norm.running_var.data_ptr<float>();
  const auto* batch_mean = statistics.mean.const_data_ptr<float>();
  const double m = norm.momentum;
  for (int64_t c = 0; c < norm.num_features; c++) {
    mean[c] = static_cast<float>((1 - m) * mean[c] + m * batch_mean[c]);
    variance[c] = static_cast<float>((1 - m) * variance[c] + m * statistics.unbiased_variance[static_cast<size_t>(c)]);
  }
  norm.num_batches_tracked.add_(1);
}

// Returns the bits from this row on, or null if there are none.
uint8_t* bits(const at::Tensor& passes, const Shape& shape, int64_t row) {
  return passes.defined() ? passes.mutable_data_ptr<uint8_t>() + row * kernels::bits_stride(shape.channels) : nullptr;
}

template <class T>
void normalize(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& scale, const at::Tensor& offset,
               std::optional<nn::Activation> activation, at::Tensor& y, at::Tensor& passes) {
  const Shape shape = shape_of(x);
  T* target = mutable_data<T>(y);
  for_each_block(shape, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * shape.channels;
    table().of<T>().batch_norm({.x = data<T>(x) + at,
                                .rows = end - begin,
                                .channels = shape.channels,
                                .scale = scale.const_data_ptr<float>(),
                                .offset = offset.const_data_ptr<float>(),
                                .residual = residual.defined() ? data<T>(residual) + at : nullptr,
                                .activation = ops::kind(activation),
                                .y = target + at,
                                .stream = streams<T>(shape),
                                .passes = bits(passes, shape, begin)});
  });
}

// Returns whether the derivative takes values other than 0 and 1.
bool is_smooth(kernels::Activation activation) { return activation > kernels::Activation::ReLU6; }

// Lets autograd keep a shared pointer.
struct SavedRanks : torch::CustomClassHolder {
  explicit SavedRanks(std::shared_ptr<const Ranks> saved) : ranks(std::move(saved)) {}
  std::shared_ptr<const Ranks> ranks;
};

void save_ranks(AutogradContext& context, const std::shared_ptr<const Ranks>& ranks) {
  if (ranks) context.saved_data["ranks"] = at::IValue::make_capsule(c10::make_intrusive<SavedRanks>(ranks));
}

std::shared_ptr<const Ranks> saved_ranks(const AutogradContext& context) {
  const auto found = context.saved_data.find("ranks");
  if (found == context.saved_data.end()) return nullptr;
  return c10::static_intrusive_pointer_cast<SavedRanks>(found->second.toCapsule())->ranks;
}

// What the backward pass needs. kernels::BatchNorm describes `passes`, which is undefined for other activations than
// ReLU and ReLU6; a smooth activation has scale and offset.
struct Saved {
  at::Tensor x, weight, mean, inverse_std, passes, scale, offset;
  kernels::Activation activation;
  bool residual;
  double total_rows;                   // of all ranks
  std::shared_ptr<const Ranks> ranks;  // or null

  explicit Saved(const AutogradContext& context)
      : activation(static_cast<kernels::Activation>(context.saved_data.at("activation").toInt())),
        residual(context.saved_data.at("residual").toBool()),
        total_rows(context.saved_data.at("rows").toDouble()),
        ranks(saved_ranks(context)) {
    const auto saved = context.get_saved_variables();
    x = saved[0], weight = saved[1], mean = saved[2], inverse_std = saved[3], passes = saved[4], scale = saved[5],
    offset = saved[6];
  }

  // Returns whether the activation masks the residual's gradient.
  bool residual_takes_part() const { return residual && passes.defined(); }

  // Returns the kernel's arguments for the rows [begin, end).
  template <class T>
  kernels::BatchNormGradient<T> rows(const at::Tensor& gradient, int64_t begin, int64_t end) const {
    const Shape shape = shape_of(x);
    const int64_t at = begin * shape.channels;
    const bool smooth = is_smooth(activation);
    return {.gradient = data<T>(gradient) + at,
            .x = data<T>(x) + at,
            .rows = end - begin,
            .channels = shape.channels,
            .mean = mean.const_data_ptr<float>(),
            .passes = bits(passes, shape, begin),
            .stream = streams<T>(shape),
            .activation = smooth ? activation : kernels::Activation::None,
            .scale = smooth ? scale.const_data_ptr<float>() : nullptr,
            .offset = smooth ? offset.const_data_ptr<float>() : nullptr};
  }
};

// The first half of the backward pass, for some rows: adds up their sums and, if there was a residual, stores the
// gradient that the activation passes on. This may overwrite the gradient, because masking it twice changes nothing.
template <class T>
void add_up(const Saved& saved, const at::Tensor& gradient, at::Tensor& passed, int64_t begin, int64_t end,
            BlockSums& blocks) {
  const int64_t channels = saved.x.size(1);
  kernels::BatchNormGradient<T> part = saved.rows<T>(gradient, begin, end);
  part.sum = blocks.of(begin);
  part.dot = part.sum + channels;
  if (saved.residual_takes_part()) part.passed = mutable_data<T>(passed) + begin * channels;
  if (passed.is_same(gradient)) part.stream = false;
  table().of<T>().batch_norm_gradient_sums(part);
}

// The state of that first half if the operation that computes the gradient performs it: see sums_of_gradient().
struct Begun : torch::CustomClassHolder {
  explicit Begun(int64_t channels) : sums(channels) {}

  BlockSums sums;
  at::Tensor gradient;
  int64_t rows = 0;
  std::mutex mutex;
};

struct Gradients {
  at::Tensor x, residual, weight, bias;
};

// Ioffe & Szegedy 2015, arXiv:1502.03167, section 3: with xhat = (x - mean) * inverse_std and n values a channel,
// dx = weight * inverse_std * (g - sum(g) / n - xhat * sum(g * xhat) / n). The sums are those of all ranks, but the
// gradients of weight and bias this rank's, which are summed with those of the other parameters.
template <class T>
Gradients differentiate(const Saved& saved, const at::Tensor& gradient, const Begun* begun) {
  const Shape shape = shape_of(saved.x);
  const int64_t channels = shape.channels;
  Gradients result;
  if (saved.residual_takes_part()) result.residual = begun ? gradient : at::empty_like(saved.x);
  std::vector<double> total;
  if (begun) {
    total = begun->sums.total();
  } else {
    BlockSums blocks(channels);
    for_each_block(
        shape, [&](int64_t begin, int64_t end) { add_up<T>(saved, gradient, result.residual, begin, end, blocks); });
    total = blocks.total();
  }

  result.weight = at::empty({channels}, at::kFloat);
  result.bias = at::empty({channels}, at::kFloat);
  const auto* inverse_std = saved.inverse_std.const_data_ptr<float>();
  for (int64_t c = 0; c < channels; c++) {
    const auto i = static_cast<size_t>(c);
    result.weight.data_ptr<float>()[c] = static_cast<float>(total[channels + i] * inverse_std[c]);
    result.bias.data_ptr<float>()[c] = static_cast<float>(total[i]);
  }
  if (saved.ranks) {
    saved.ranks->sum(tensor_of(total));
    if (!saved.ranks->has_images) std::fill(total.begin(), total.end(), 0);  // the statistics do not depend on x
  }
  std::vector<float> of_gradient(static_cast<size_t>(channels)), of_centered(of_gradient.size()),
      constant(of_gradient.size());
  const double n = saved.total_rows;
  for (int64_t c = 0; c < channels; c++) {
    const auto i = static_cast<size_t>(c);
    const double sum = total[i], dot = total[channels + i];
    const double inverse = inverse_std[c];
    const double factor = saved.weight.const_data_ptr<float>()[c] * inverse;
    of_gradient[i] = static_cast<float>(factor);
    of_centered[i] = static_cast<float>(-factor * dot * inverse * inverse / n);
    constant[i] = static_cast<float>(-factor * sum / n);
  }
  const bool passed = saved.residual_takes_part();
  result.x = at::empty_like(saved.x);
  T* dx = mutable_data<T>(result.x);
  for_each_block(shape, [&](int64_t begin, int64_t end) {
    auto part = saved.rows<T>(passed ? result.residual : gradient, begin, end);
    if (passed) part.passes = nullptr;
    part.dx = dx + begin * channels;
    part.of_gradient = of_gradient.data();
    part.of_centered = of_centered.data();
    part.constant = constant.data();
    table().of<T>().batch_norm_gradient(part);
  });
  return result;
}

class BatchNormActivation : public torch::autograd::Function<BatchNormActivation> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& residual,
                            const at::Tensor& weight, const at::Tensor& bias, const BatchNorm2d& norm,
                            std::optional<nn::Activation> activation, const std::shared_ptr<const Ranks>& ranks) {
    at::Tensor y = at::empty_like(x), passes, scale, offset;
    const bool smooth = is_smooth(ops::kind(activation));
    if (activation && !smooth) passes = at::empty({shape_of(x).rows, kernels::bits_stride(x.size(1))}, at::kByte);
    Statistics statistics;
    with_type(x.scalar_type(), [&]<class T>(T) {
      statistics = statistics_of(data<T>(x), shape_of(x), norm, ranks.get());
      scale = weight * statistics.inverse_std;
      offset = bias - statistics.mean * scale;
      normalize<T>(x, residual.value_or(at::Tensor()), scale, offset, activation, y, passes);
    });
    update_running(norm, statistics);
    if (!smooth) scale = offset = at::Tensor();
    context->save_for_backward({x, weight, statistics.mean, statistics.inverse_std, passes, scale, offset});
    context->saved_data["activation"] = static_cast<int64_t>(ops::kind(activation));
    context->saved_data["residual"] = residual.has_value();
    context->saved_data["rows"] = statistics.rows;
    save_ranks(*context, ranks);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Saved saved(*context);
    const at::Tensor gradient = gradients[0].to(saved.x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const c10::intrusive_ptr<Begun> begun = take_begun(*context);
    const bool continues = begun && begun->gradient.is_same(gradient) && begun->rows == shape_of(saved.x).rows;
    Gradients result;
    with_type(saved.x.scalar_type(),
              [&]<class T>(T) { result = differentiate<T>(saved, gradient, continues ? begun.get() : nullptr); });
    if (saved.residual && !saved.passes.defined()) result.residual = gradient;
    return {result.x, result.residual, result.weight, result.bias, at::Tensor(), at::Tensor(), at::Tensor()};
  }

  static c10::intrusive_ptr<Begun> begin(AutogradContext& context, int64_t channels) {
    auto begun = c10::make_intrusive<Begun>(channels);
    context.saved_data["begun"] = at::IValue::make_capsule(begun);
    return begun;
  }

 private:
  static c10::intrusive_ptr<Begun> take_begun(AutogradContext& context) {
    const auto found = context.saved_data.find("begun");
    if (found == context.saved_data.end()) return {};
    auto begun = c10::static_intrusive_pointer_cast<Begun>(found->second.toCapsule());
    context.saved_data.erase(found);
    return begun;
  }
};

// The derivative of each rank's loss by the sums of all is summed as well.
class SumOverRanks : public torch::autograd::Function<SumOverRanks> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values,
                            const std::shared_ptr<const Ranks>& ranks) {
    save_ranks(*context, ranks);
    at::Tensor sums = ranks->has_images ? values.clone() : at::zeros_like(values);
    ranks->sum(sums);
    return sums;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto ranks = saved_ranks(*context);
    at::Tensor sums = gradients[0].clone();
    ranks->sum(sums);
    return {ranks->has_images ? sums : at::zeros_like(sums), at::Tensor()};
  }
};

}  // namespace

bool supports_batch_norm(const at::Tensor& x) {
  return x.is_cpu() && ops::has_kernels(x.scalar_type()) && x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

bool fuses(std::optional<nn::Activation> activation, bool has_residual) {
  if (!activation) return true;
  switch (*activation) {
    case nn::Activation::ReLU:
    case nn::Activation::ReLU6: return true;
    case nn::Activation::Hardswish:
    case nn::Activation::SiLU: return !has_residual;
    case nn::Activation::Hardsigmoid:
    case nn::Activation::Sigmoid:
    case nn::Activation::GELU:
    case nn::Activation::Tanh: return false;
  }
  return false;
}

void check_batch_norm(const at::Tensor& x) {
  if (shape_of(x).rows < 2) refuse_single_value();
}

at::Tensor batch_norm_activation(const BatchNorm2d& norm, const at::Tensor& x, const at::Tensor& residual,
                                 std::optional<nn::Activation> activation, const std::shared_ptr<const Ranks>& ranks) {
  if (!ranks) check_batch_norm(x);
  std::optional<at::Tensor> added;
  if (residual.defined()) added = residual.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  return BatchNormActivation::apply(x, added, norm.weight, norm.bias, norm, activation, ranks);
}

at::Tensor synchronized_batch_norm(const BatchNorm2d& norm, const at::Tensor& x,
                                   const std::shared_ptr<const Ranks>& ranks) {
  const at::Tensor values = x.to(at::kFloat);
  auto sum = [](const at::Tensor& of) { return of.sum({0, 2, 3}, /*keepdim=*/false, at::kDouble); };
  const at::Tensor rows = at::full({1}, shape_of(x).rows, values.options().dtype(at::kDouble));
  const at::Tensor sums = SumOverRanks::apply(at::cat({sum(values), sum(values.square()), rows}), ranks);
  const int64_t channels = norm.num_features;
  const double n = sums[2 * channels].item<double>();
  if (n < 2) refuse_single_value();
  const at::Tensor mean = sums.narrow(0, 0, channels) / n;
  const at::Tensor variance = (sums.narrow(0, channels, channels) / n - mean.square()).clamp_min(0);
  {
    const at::NoGradGuard no_grad;
    norm.running_mean.lerp_(mean.to(at::kFloat), norm.momentum);
    norm.running_var.lerp_((variance * (n / (n - 1))).to(at::kFloat), norm.momentum);
    norm.num_batches_tracked.add_(1);
  }
  const at::Tensor scale = norm.weight / (variance + norm.eps).sqrt();
  const at::Tensor offset = norm.bias - mean * scale;
  auto of_channels = [](const at::Tensor& of) { return of.to(at::kFloat).view({1, -1, 1, 1}); };
  return (values * of_channels(scale) + of_channels(offset)).to(x.scalar_type());
}

RowsDone sums_of_gradient(const at::Tensor& y) {
  auto* node = dynamic_cast<torch::autograd::CppNode<BatchNormActivation>*>(y.grad_fn().get());
  if (node == nullptr) return {};
  const auto begun = BatchNormActivation::begin(node->ctx_, y.size(1));
  return [begun, saved = Saved(node->ctx_)](at::Tensor& gradient, int64_t begin, int64_t end) {
    {
      const std::scoped_lock lock(begun->mutex);
      begun->gradient = gradient;
      begun->rows += end - begin;
    }
    with_type(gradient.scalar_type(),
              [&]<class T>(T) { add_up<T>(saved, gradient, gradient, begin, end, begun->sums); });
  };
}

}  // namespace visiontorch::autograd
