// Batch norm in training, forward and backward.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

template <class T>
void test_case(const Table& table, const std::string& name, int64_t rows, int64_t channels, bool added) {
  const Kernels<T>& kernels = table.of<T>();
  constexpr double tolerance = std::is_same_v<T, float> ? kFloat : kBFloat16;
  constexpr double kSummand = 1;  // about the size of the summands, which may cancel
  const int64_t size = rows * channels;
  constexpr Activation activations[] = {Activation::None, Activation::ReLU, Activation::ReLU6, Activation::Hardswish,
                                        Activation::SiLU};
  const Activation activation = activations[any(added ? 3 : 5)];
  const bool smooth = activation > Activation::ReLU6;
  const bool stream = any(2) == 1;
  const auto x = random_values<T>(size), residual = random_values<T>(size), gradient = random_values<T>(size);
  const auto mean = noise(channels), offset = noise(channels);
  const auto of_gradient = noise(channels), of_centered = noise(channels), constant = noise(channels);
  auto scale = noise(channels);
  for (float& value : scale) value *= 12;  // for all of ReLU6
  const std::initializer_list<int64_t> sizes = {rows, channels, added, stream, static_cast<int64_t>(activation)};
  auto at = [&](int64_t row, int64_t c) { return row * channels + c; };

  std::vector<float> sum(channels), square(channels), dot(channels);
  kernels.batch_norm_sums({x.data(), rows, channels, mean.data(), sum.data(), square.data()});
  Expected sums{std::vector<double>(channels), kSummand}, squares = sums, dots = sums;
  for (int64_t c = 0; c < channels; c++) {
    double total = 0, squared = 0;
    for (int64_t row = 0; row < rows; row++) {
      const double d = double(value_of(x[at(row, c)])) - mean[c];
      total += d;
      squared += d * d;
    }
    sums.set(c, total);
    squares.set(c, squared);
  }
  compare(name + "_sums", sizes, sum, sums, kFloat);
  compare(name + "_sums", sizes, square, squares, kFloat);

  std::vector<T> storage(size + 64);  // aligned, for what is streamed
  T* y = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) / sizeof(T);
  std::vector<uint8_t> passes(rows * visiontorch::kernels::bits_stride(channels));
  kernels.batch_norm({x.data(), rows, channels, scale.data(), offset.data(), added ? residual.data() : nullptr,
                      activation, y, stream, passes.data()});
  Expected outputs{std::vector<double>(size), kSummand, activation};
  for (int64_t row = 0; row < rows; row++)
    for (int64_t c = 0; c < channels; c++)
      outputs.set(at(row, c), double(value_of(x[at(row, c)])) * scale[c] + offset[c] +
                                  (added ? value_of(residual[at(row, c)]) : 0));
  const std::vector<T> result(y, y + size);
  compare(name, sizes, result, outputs, tolerance);

  std::vector<T> passed(size);
  BatchNormGradient<T> work{.gradient = gradient.data(),
                            .x = x.data(),
                            .rows = rows,
                            .channels = channels,
                            .mean = mean.data(),
                            .passes = activation == Activation::None || smooth ? nullptr : passes.data(),
                            .stream = stream,
                            .activation = smooth ? activation : Activation::None,
                            .scale = scale.data(),
                            .offset = offset.data(),
                            .sum = sum.data(),
                            .dot = dot.data(),
                            .passed = added ? passed.data() : nullptr};
  kernels.batch_norm_gradient_sums(work);
  Expected through{std::vector<double>(size)};
  for (int64_t i = 0; i < size; i++) {
    if (smooth) {
      const double out = double(value_of(x[i])) * scale[i % channels] + offset[i % channels];
      through.set(i, derivative(out, activation) * value_of(gradient[i]));
      continue;
    }
    const float out = value_of(result[i]);
    const bool passes = activation == Activation::None || (out > 0 && (activation == Activation::ReLU || out < 6));
    through.set(i, passes ? value_of(gradient[i]) : 0);
  }
  for (int64_t c = 0; c < channels; c++) {
    double total = 0, product = 0;
    for (int64_t row = 0; row < rows; row++) {
      total += through.values[at(row, c)];
      product += through.values[at(row, c)] * (double(value_of(x[at(row, c)])) - mean[c]);
    }
    sums.set(c, total);
    dots.set(c, product);
  }
  compare(name + "_gradient_sums", sizes, sum, sums, kFloat);
  compare(name + "_gradient_sums", sizes, dot, dots, kFloat);
  if (added) compare(name + "_gradient_sums", sizes, passed, through, 0);

  work.of_gradient = of_gradient.data();
  work.of_centered = of_centered.data();
  work.constant = constant.data();
  work.dx = y;
  if (added) {
    work.gradient = passed.data();
    work.passes = nullptr;
  }
  kernels.batch_norm_gradient(work);
  Expected inputs{std::vector<double>(size), kSummand};
  for (int64_t row = 0; row < rows; row++)
    for (int64_t c = 0; c < channels; c++)
      inputs.set(at(row, c), through.values[at(row, c)] * of_gradient[c] +
                                 (double(value_of(x[at(row, c)])) - mean[c]) * of_centered[c] + constant[c]);
  compare(name + "_gradient", sizes, std::vector<T>(y, y + size), inputs, tolerance);
}

template <class T>
void test_cases(const Table& table, const std::string& name) {
  for (int64_t rows : {1, 4, 7, 64})
    for (int64_t channels : {1, 8, 16, 24, 32, 40, 64, 100, 256})
      for (bool added : {false, true})
        for (int i = 0; i < 6; i++) test_case<T>(table, name, rows, channels, added);
}

}  // namespace

void test_batch_norm(const Table& table) {
  test_cases<float>(table, "batch_norm");
  if (table.has_bfloat16()) test_cases<BFloat16>(table, "batch_norm_bfloat16");
}

}  // namespace visiontorch::kernels
