// Matrix products, linear layers, and sums of outer products.
#include "compare.h"

#include <cstring>

namespace visiontorch::kernels {

namespace {

template <class In, class Out>
void gemm(const Table& table, const IndirectGemm<In, Out>& product) {
  if constexpr (std::is_same_v<In, Out>) table.of<In>().gemm(product);
  if constexpr (std::is_same_v<In, float> && !std::is_same_v<Out, float>) table.of<Out>().gemm_from_float(product);
  if constexpr (!std::is_same_v<In, float> && std::is_same_v<Out, float>) table.of<In>().gemm_to_float(product);
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
  const int64_t offset = any(2) * 4;
  std::vector<const In*> rows;
  for (int64_t i = 0; i < taps * count; i++) rows.push_back(x.data() + i * depth - offset);
  std::vector<int64_t> offsets;
  for (int64_t m = 0; m < count; m++) offsets.push_back((count - 1 - m) * columns);
  const bool has_offsets = variant == 1, has_residual = variant == 2, has_bias = variant != 3;
  std::vector<Out> out(count * columns);
  Expected expected{std::vector<double>(count * columns), 1e-9, any_activation()};
  gemm(table, IndirectGemm<In, Out>{.rows = rows.data(),
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
                                    .offsets = has_offsets ? offsets.data() : nullptr,
                                    .offset = offset});
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
void test_all_products(const Table& table, const char* name) {
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

constexpr double kSummand = 1;  // about the size of the summands, which may cancel

template <class T>
void test_linear(const Table& table, const char* name) {
  for (int64_t count : {1, 2, 3, 4, 5, 9})
    for (int64_t inputs : {1, 7, 16, 33, 100, 2500})
      for (int64_t outputs : {1, 5, 8, 19, 40}) {
        const auto x = random_values<T>(count * inputs), weights = random_values<T>(outputs * inputs);
        const auto bias = noise(outputs);
        std::vector<char> odd(weights.size() * sizeof(T) + 1);  // at an odd address, as in some checkpoint files
        std::memcpy(odd.data() + 1, weights.data(), weights.size() * sizeof(T));
        std::vector<float> out(count * outputs);
        Expected expected{std::vector<double>(count * outputs), kSummand, any_activation()};
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
          table.of<T>().linear(layer);
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
void test_combine(const Table& table, const char* name) {
  for (int64_t groups : {1, 2, 3})
    for (int64_t rows : {1, 7})
      for (int64_t channels : {8, 16, 24, 100})
        for (bool has_residual : {false, true}) {
          const auto parts = noise(groups * rows * channels), bias = noise(channels + 16);
          const auto residual = random_values<T>(rows * channels);
          std::vector<T> out(rows * channels);
          Expected expected{std::vector<double>(out.size()), 1e-9, any_activation()};
          const Combination<T> combination{.parts = parts.data(),
                                           .groups = groups,
                                           .rows = rows,
                                           .channels = channels,
                                           .bias = bias.data(),
                                           .residual = has_residual ? residual.data() : nullptr,
                                           .out = out.data(),
                                           .activation = expected.activation};
          table.of<T>().combine(combination);
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
          const GemmTN<T> sum{.a = a_rows.data(),
                              .b = b_rows.data(),
                              .count = count,
                              .taps = taps,
                              .rows = rows,
                              .columns = columns,
                              .out = out.data(),
                              .stride = stride,
                              .tap_stride = columns,
                              .first = first};
          std::vector<float> scratch(gemm_tn_scratch(rows, columns));
          table.of<T>().gemm_tn(sum, scratch.data());
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

}  // namespace

void test_products(const Table& table) {
  test_all_products<float, float>(table, "gemm");
  test_linear<float>(table, "linear");
  test_combine<float>(table, "combine");
  test_accumulate<float>(table, "gemm_tn");
  test_transpose(table);
  if (!table.has_bfloat16()) return;
  test_all_products<BFloat16, BFloat16>(table, "gemm_bfloat16");
  test_all_products<BFloat16, float>(table, "gemm_to_float");
  test_all_products<float, BFloat16>(table, "gemm_from_float");
  test_linear<BFloat16>(table, "linear_bfloat16");
  test_combine<BFloat16>(table, "combine_bfloat16");
  test_accumulate<BFloat16>(table, "gemm_tn_bfloat16");
}

}  // namespace visiontorch::kernels
