// kernels SET: the kernels of one instruction set (avx2, avx512, avx512_bf16) beside plain loops in double precision,
// over sizes that do and do not fill vectors, tiles and panels. Not among them are those that prepare Winograd's tiles
// for training, and Winograd's with weights transformed before: the parity tests reach these through networks. A line
// for each kernel: its name, how many cases were compared, how many failed, and the first of these. Linked with the
// kernels alone, so that an emulator can run it.
#include "kernels/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace visiontorch::kernels;
using std::int64_t;

namespace {

constexpr double kFloat = 3e-6, kWinograd = 1e-5, kBFloat16 = 8e-3;  // of the largest value before an activation

std::mt19937 generator(1);

int64_t any(int64_t count) { return static_cast<int64_t>(generator() % static_cast<uint32_t>(count)); }

std::vector<float> noise(int64_t count) {
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(generator);
  return values;
}

float value_of(float x) { return x; }
float value_of(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

template <class T>
T rounded(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
    const auto bits = std::bit_cast<uint32_t>(x);
    return {static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
  }
}

template <class T>
std::vector<T> random_values(int64_t count) {
  std::vector<T> values;
  for (float value : noise(count)) values.push_back(rounded<T>(value));
  return values;
}

struct Results {
  int cases = 0, failures = 0;
  std::string first;
};
std::map<std::string, Results> results;

// What one case should give, and how large its values are before the activation.
struct Expected {
  std::vector<double> values;
  double largest = 1e-9;
  Activation activation = Activation::None;

  void set(int64_t at, double value) {
    largest = std::max(largest, std::fabs(value));
    if (activation != Activation::None) value = std::max(value, 0.0);
    values[static_cast<size_t>(at)] = activation == Activation::ReLU6 ? std::min(value, 6.0) : value;
  }
};

template <class T>
void compare(const std::string& kernel, std::initializer_list<int64_t> sizes, const std::vector<T>& got,
             const Expected& expected, double tolerance) {
  double deviation = 0;
  for (size_t i = 0; i < expected.values.size(); i++) {
    const double difference = std::fabs(value_of(got[i]) - expected.values[i]) / expected.largest;
    deviation = std::isnan(difference) ? INFINITY : std::max(deviation, difference);
  }
  Results& result = results[kernel];
  result.cases++;
  if (deviation <= tolerance) return;
  if (result.failures++ > 0) return;
  for (int64_t size : sizes) result.first += std::to_string(size) + " ";
  result.first += "deviates by " + std::to_string(deviation);
}

Activation any_activation() { return static_cast<Activation>(any(3)); }

template <class In, class Out>
void multiply(const Table& table, const Product<In, Out>& product) {
  constexpr bool from_float = std::is_same_v<In, float>, to_float = std::is_same_v<Out, float>;
  if constexpr (from_float && to_float) table.multiply(product);
  if constexpr (from_float && !to_float) table.multiply_to_bfloat16(product);
  if constexpr (!from_float && to_float) table.multiply_to_float(product);
  if constexpr (!from_float && !to_float) table.multiply_bfloat16(product);
}

// With a bias, a residual, or rows at offsets.
template <class In, class Out>
void test_product(const Table& table, const char* name, int64_t count, int64_t taps, int64_t depth, int64_t columns,
                  int64_t variant) {
  constexpr int64_t pair = std::is_same_v<In, float> ? 1 : 2;
  const int64_t all = taps * depth;
  const Panels panels = table.layout(all, columns, 1 + any(2));
  const auto weights = random_values<In>(all * columns), x = random_values<In>(count * all);
  const auto bias = noise(panels.padded_columns());
  const auto residual = random_values<Out>(count * columns);
  std::vector<In> packed(panels.count * panels.stride());
  for (int64_t k = 0; k < all; k++)
    for (int64_t c = 0; c < columns; c++)
      packed[c / panels.width * panels.stride() + k / pair * panels.width * pair + c % panels.width * pair + k % pair] =
          weights[k * columns + c];
  std::vector<const In*> rows;
  for (int64_t i = 0; i < taps * count; i++) rows.push_back(x.data() + i * depth);
  std::vector<int64_t> offsets;
  for (int64_t m = 0; m < count; m++) offsets.push_back((count - 1 - m) * columns);
  const bool has_offsets = variant == 1, has_residual = variant == 2, has_bias = variant != 3;
  std::vector<Out> out(count * columns);
  Expected expected{std::vector<double>(count * columns), 1e-9, any_activation()};
  multiply(table, Product<In, Out>{.rows = rows.data(),
                                   .count = count,
                                   .taps = taps,
                                   .depth = depth,
                                   .panels = panels,
                                   .weights = packed.data(),
                                   .bias = has_bias ? bias.data() : nullptr,
                                   .first = 0,
                                   .last = panels.count,
                                   .out = out.data(),
                                   .stride = columns,
                                   .epilogue = {expected.activation, has_residual ? residual.data() : nullptr},
                                   .offsets = has_offsets ? offsets.data() : nullptr});
  for (int64_t m = 0; m < count; m++)
    for (int64_t c = 0; c < columns; c++) {
      double sum = has_bias ? bias[c] : 0;
      for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t k = 0; k < depth; k++)
          sum +=
              double(value_of(x[(tap * count + m) * depth + k])) * value_of(weights[(tap * depth + k) * columns + c]);
      if (has_residual) sum += value_of(residual[m * columns + c]);
      expected.set((has_offsets ? offsets[m] : m * columns) + c, sum);
    }
  compare(name, {count, taps, depth, columns, variant}, out, expected, std::is_same_v<Out, float> ? kFloat : kBFloat16);
}

template <class In, class Out>
void test_products(const Table& table, const char* name) {
  for (int64_t count : {1, 5, 6, 7, 13, 29, 49})
    for (int64_t taps : {1, 3})
      for (int64_t depth : {2, 16, 28, 100})
        for (int64_t columns : {8, 16, 24, 32, 40, 48, 64, 80, 100, 144, 192})
          test_product<In, Out>(table, name, count, taps, depth, columns, any(4));
  for (int64_t count : {5, 13, 29})  // the sum in several parts
    for (int64_t taps : {1, 3})
      for (int64_t columns : {16, 24, 40})
        for (int64_t variant : {0, 1, 2, 3}) test_product<In, Out>(table, name, count, taps, 1100, columns, variant);
}

template <class T>
void test_linear(const Table& table, const char* name) {
  for (int64_t count : {1, 2, 3, 4, 5, 9})
    for (int64_t inputs : {1, 7, 16, 33, 100, 2500})
      for (int64_t outputs : {1, 5, 8, 19, 40}) {
        const auto x = random_values<T>(count * inputs), weights = random_values<T>(outputs * inputs);
        const auto bias = noise(outputs);
        std::vector<char> odd(weights.size() * sizeof(T) + 1);  // at an odd address, as in some files
        std::memcpy(odd.data() + 1, weights.data(), weights.size() * sizeof(T));
        std::vector<float> out(count * outputs);
        Expected expected{std::vector<double>(count * outputs), 1e-9, any_activation()};
        for (int64_t half : {0, 1}) {
          const Linear<T> layer{.x = x.data(),
                                .count = count,
                                .inputs = inputs,
                                .outputs = outputs,
                                .weights = reinterpret_cast<const T*>(odd.data() + 1),
                                .bias = bias.data(),
                                .first = outputs * half / 2,
                                .last = outputs * (half + 1) / 2,
                                .out = out.data(),
                                .activation = expected.activation};
          if constexpr (std::is_same_v<T, float>) table.linear(layer);
          if constexpr (!std::is_same_v<T, float>) table.linear_bfloat16(layer);
        }
        for (int64_t m = 0; m < count; m++)
          for (int64_t o = 0; o < outputs; o++) {
            double sum = bias[o];
            for (int64_t k = 0; k < inputs; k++)
              sum += double(value_of(x[m * inputs + k])) * value_of(weights[o * inputs + k]);
            expected.set(m * outputs + o, sum);
          }
        compare(name, {count, inputs, outputs}, out, expected, kFloat);
      }
}

template <class T>
void test_depthwise(const Table& table, const char* name) {
  for (int64_t channels : {2, 8, 16, 24, 32, 36, 40, 72, 144})
    for (int64_t stride : {1, 2})
      for (int64_t width : {1, 3, 4, 7, 14, 17})
        for (int64_t height : {1, 3}) {
          const int64_t in_width = (width - 1) * stride + 3, in_height = (height - 1) * stride + 3;
          const int64_t weight_stride = channels + 5;
          const auto x = random_values<T>(in_height * in_width * channels);
          const auto weights = noise(9 * weight_stride);
          auto bias = noise(channels);
          for (float& value : bias) value *= 8;  // for all of ReLU6
          std::vector<const T*> rows;
          for (int64_t y = 0; y < in_height; y++) rows.push_back(x.data() + y * in_width * channels);
          std::vector<T> out(height * width * channels);
          Expected expected{std::vector<double>(out.size()), 1e-9, any_activation()};
          const Depthwise<T> layer{.rows = rows.data(),
                                   .out_rows = height,
                                   .out_width = width,
                                   .channels = channels,
                                   .stride = stride,
                                   .weights = weights.data(),
                                   .weight_stride = weight_stride,
                                   .bias = bias.data(),
                                   .out = out.data(),
                                   .activation = expected.activation};
          if constexpr (std::is_same_v<T, float>) table.depthwise(layer);
          if constexpr (!std::is_same_v<T, float>) table.depthwise_bfloat16(layer);
          for (int64_t y = 0; y < height; y++)
            for (int64_t i = 0; i < width; i++)
              for (int64_t c = 0; c < channels; c++) {
                double sum = bias[c];
                for (int64_t k = 0; k < 9; k++)
                  sum += double(value_of(rows[y * stride + k / 3][(i * stride + k % 3) * channels + c])) *
                         weights[k * weight_stride + c];
                expected.set((y * width + i) * channels + c, sum);
              }
          compare(name, {channels, stride, width, height}, out, expected,
                  std::is_same_v<T, float> ? kFloat : kBFloat16);
        }
}

template <class T>
void test_combine(const Table& table, const char* name) {
  for (int64_t groups : {1, 2, 3})
    for (int64_t rows : {1, 7})
      for (int64_t channels : {8, 16, 24, 100})
        for (bool has_residual : {false, true}) {
          const auto parts = noise(groups * rows * channels), bias = noise(channels + 16);
          const auto residual = random_values<T>(rows * channels);
          std::vector<T> out(rows * channels);
          Expected expected{std::vector<double>(out.size())};
          const Combination<T> combination{.parts = parts.data(),
                                           .groups = groups,
                                           .rows = rows,
                                           .channels = channels,
                                           .bias = bias.data(),
                                           .residual = has_residual ? residual.data() : nullptr,
                                           .out = out.data()};
          if constexpr (std::is_same_v<T, float>) table.combine(combination);
          if constexpr (!std::is_same_v<T, float>) table.combine_bfloat16(combination);
          for (int64_t i = 0; i < rows * channels; i++) {
            double sum = bias[i % channels] + (has_residual ? value_of(residual[i]) : 0);
            for (int64_t group = 0; group < groups; group++) sum += parts[group * rows * channels + i];
            expected.set(i, sum);
          }
          compare(name, {groups, rows, channels}, out, expected, std::is_same_v<T, float> ? kFloat : kBFloat16);
        }
}

template <class T>
void test_accumulate(const Table& table, const char* name) {
  for (int64_t count : {1, 3, 16, 127, 128})
    for (int64_t taps : {1, 9})
      for (int64_t rows : {1, 8, 16, 37, 64})
        for (int64_t columns : {8, 16, 24, 33, 64, 128}) {
          const auto a = random_values<T>(count * rows), b = random_values<T>(taps * count * columns);
          std::vector<const T*> a_rows, b_rows;
          for (int64_t t = 0; t < count; t++) a_rows.push_back(a.data() + t * rows);
          for (int64_t t = 0; t < taps * count; t++) b_rows.push_back(b.data() + t * columns);
          const int64_t stride = taps * columns + 3;
          auto out = noise(rows * stride);
          const bool first = any(2) == 1;
          Expected expected{{out.begin(), out.end()}};
          const Accumulation<T> sum{.a = a_rows.data(),
                                    .b = b_rows.data(),
                                    .count = count,
                                    .taps = taps,
                                    .rows = rows,
                                    .columns = columns,
                                    .out = out.data(),
                                    .stride = stride,
                                    .tap_stride = columns,
                                    .first = first};
          std::vector<float> scratch(accumulation_scratch(rows, columns));
          if constexpr (std::is_same_v<T, float>) table.accumulate(sum, scratch.data());
          if constexpr (!std::is_same_v<T, float>) table.accumulate_bfloat16(sum, scratch.data());
          for (int64_t row = 0; row < rows; row++)
            for (int64_t tap = 0; tap < taps; tap++)
              for (int64_t c = 0; c < columns; c++) {
                const int64_t at = row * stride + tap * columns + c;
                double value = first ? 0 : expected.values[at];
                for (int64_t t = 0; t < count; t++)
                  value += double(value_of(a_rows[t][row])) * value_of(b_rows[tap * count + t][c]);
                expected.set(at, value);
              }
          compare(name, {count, taps, rows, columns}, out, expected, kFloat);
        }
}

void test_transpose(const Table& table) {
  for (int64_t rows : {1, 7, 8, 16, 33, 64})
    for (int64_t columns : {1, 5, 16, 40, 64}) {
      const int64_t stride = columns + any(3), to_stride = rows + any(3);
      const auto from = noise(rows * stride);
      auto to = noise(columns * to_stride);
      Expected expected{{to.begin(), to.end()}};
      for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++)
          expected.set(column * to_stride + row, from[row * stride + column]);
      table.transpose({from.data(), stride, rows, columns, to.data(), to_stride});
      compare("transpose", {rows, columns}, to, expected, 0);
    }
}

// The filters are transformed on the way, which needs nothing but the convolution's own weights.
template <class T>
void test_winograd(const Table& table, const char* name) {
  for (int64_t height : {4, 5, 14})
    for (int64_t in : {16, 48, 144})
      for (int64_t out : {16, 24, 64, 80}) {
        const int64_t images = 2, width = height + 3, tiles = images * ((height + 3) / 4) * ((width + 3) / 4);
        const Panels panels = table.layout(in, out, 1);
        const auto x = random_values<T>(images * height * width * in);
        const auto residual = random_values<T>(images * height * width * out);
        const auto filters = noise(out * in * 9), bias = noise(panels.padded_columns());
        std::vector<T> y(residual.size());
        Expected expected{std::vector<double>(y.size()), 1e-9, any_activation()};
        const bool has_residual = any(2) == 1;
        const WinogradConvolution<T> layer{.height = height,
                                           .width = width,
                                           .in_channels = in,
                                           .out_channels = out,
                                           .panels = panels,
                                           .weights = nullptr,
                                           .filters = filters.data(),
                                           .bias = bias.data(),
                                           .images = x.data(),
                                           .out = y.data(),
                                           .epilogue = {expected.activation, has_residual ? residual.data() : nullptr}};
        std::vector<float> scratch(winograd_scratch(in, panels));
        for (int64_t first = 0; first < tiles; first += 7)
          for (int64_t half : {0, 1}) {
            const bool gathered = half == 1;  // by the first half
            const WinogradPart part{first, std::min(first + 7, tiles), panels.count * half / 2,
                                    panels.count * (half + 1) / 2, gathered};
            if constexpr (std::is_same_v<T, float>) table.winograd(layer, part, scratch.data());
            if constexpr (!std::is_same_v<T, float>) table.winograd_bfloat16(layer, part, scratch.data());
          }
        for (int64_t pixel = 0; pixel < images * height * width; pixel++)
          for (int64_t o = 0; o < out; o++) {
            double sum = bias[o] + (has_residual ? value_of(residual[pixel * out + o]) : 0);
            for (int64_t tap = 0; tap < 9; tap++) {
              const int64_t row = pixel / width % height + tap / 3 - 1, column = pixel % width + tap % 3 - 1;
              if (row < 0 || row >= height || column < 0 || column >= width) continue;
              const T* from = x.data() + ((pixel / width / height * height + row) * width + column) * in;
              for (int64_t c = 0; c < in; c++) sum += double(value_of(from[c])) * filters[(o * in + c) * 9 + tap];
            }
            expected.set(pixel * out + o, sum);
          }
        compare(name, {height, in, out}, y, expected, std::is_same_v<T, float> ? kWinograd : kBFloat16);
      }
}

template <class T>
const BatchNormKernels<T>& batch_norm_of(const Table& table) {
  if constexpr (std::is_same_v<T, float>) return table.batch_norm;
  if constexpr (!std::is_same_v<T, float>) return table.batch_norm_bfloat16;
}

template <class T>
void test_batch_norm(const Table& table, const std::string& name, int64_t rows, int64_t channels, bool added) {
  const BatchNormKernels<T>& kernels = batch_norm_of<T>(table);
  constexpr double tolerance = std::is_same_v<T, float> ? kFloat : kBFloat16;
  constexpr double kSummand = 1;  // about as large as what is added up, of which little may be left
  const int64_t size = rows * channels;
  const auto activation = any_activation();
  const bool stream = any(2) == 1;
  const auto x = random_values<T>(size), residual = random_values<T>(size), gradient = random_values<T>(size);
  const auto mean = noise(channels), offset = noise(channels);
  const auto of_gradient = noise(channels), of_centered = noise(channels), constant = noise(channels);
  auto scale = noise(channels);
  for (float& value : scale) value *= 12;  // for all of ReLU6
  const std::initializer_list<int64_t> sizes = {rows, channels, added, stream, static_cast<int64_t>(activation)};
  auto at = [&](int64_t row, int64_t c) { return row * channels + c; };

  std::vector<float> sum(channels), square(channels), dot(channels);
  kernels.sums({x.data(), rows, channels, mean.data(), sum.data(), square.data()});
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
  kernels.apply({x.data(), rows, channels, scale.data(), offset.data(), added ? residual.data() : nullptr, activation,
                 y, stream, passes.data()});
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
                            .passes = activation == Activation::None ? nullptr : passes.data(),
                            .stream = stream,
                            .sum = sum.data(),
                            .dot = dot.data(),
                            .passed = added ? passed.data() : nullptr};
  kernels.gradient_sums(work);
  Expected through{std::vector<double>(size)};
  for (int64_t i = 0; i < size; i++) {
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
  kernels.gradient(work);
  Expected inputs{std::vector<double>(size), kSummand};
  for (int64_t row = 0; row < rows; row++)
    for (int64_t c = 0; c < channels; c++)
      inputs.set(at(row, c), through.values[at(row, c)] * of_gradient[c] +
                                 (double(value_of(x[at(row, c)])) - mean[c]) * of_centered[c] + constant[c]);
  compare(name + "_gradient", sizes, std::vector<T>(y, y + size), inputs, tolerance);
}

template <class T>
void test_batch_norms(const Table& table, const std::string& name) {
  for (int64_t rows : {1, 4, 7, 64})
    for (int64_t channels : {1, 8, 16, 24, 32, 40, 64, 100, 256})
      for (bool added : {false, true})
        for (int i = 0; i < 6; i++) test_batch_norm<T>(table, name, rows, channels, added);
}

void test(const Table& table) {
  test_products<float, float>(table, "multiply");
  test_linear<float>(table, "linear");
  test_depthwise<float>(table, "depthwise");
  test_combine<float>(table, "combine");
  test_accumulate<float>(table, "accumulate");
  test_transpose(table);
  test_winograd<float>(table, "winograd");
  test_batch_norms<float>(table, "batch_norm");
  if (table.multiply_bfloat16 == nullptr) return;
  test_products<BFloat16, BFloat16>(table, "multiply_bfloat16");
  test_products<BFloat16, float>(table, "multiply_to_float");
  test_products<float, BFloat16>(table, "multiply_to_bfloat16");
  test_linear<BFloat16>(table, "linear_bfloat16");
  test_depthwise<BFloat16>(table, "depthwise_bfloat16");
  test_combine<BFloat16>(table, "combine_bfloat16");
  test_accumulate<BFloat16>(table, "accumulate_bfloat16");
  test_winograd<BFloat16>(table, "winograd_bfloat16");
  test_batch_norms<BFloat16>(table, "batch_norm_bfloat16");
}

}  // namespace

int main(int count, char** arguments) {
  const std::string set = count == 2 ? arguments[1] : "";
  if (set == "avx2") test(kAvx2);
  if (set == "avx512") test(kAvx512);
  if (set == "avx512_bf16") test(kAvx512Bf16);
  for (const auto& [kernel, result] : results)
    std::printf("%s %d %d %s\n", kernel.c_str(), result.cases, result.failures, result.first.c_str());
  return results.empty() ? 2 : 0;
}
