// Attention, and layer norm.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

template <class T>
void test_layer_norm(const Table& table, const char* name) {
  for (int64_t channels : {3, 16, 20, 96, 136})
    for (int64_t count : {1, 5}) {
      auto x = random_values<T>(count * channels);
      for (int64_t i = 0; i < channels; i++) x[static_cast<size_t>(i)] = rounded<T>(value_of(x[i]) + 30);
      const auto weight = noise(channels), bias = noise(channels);
      Expected expected{std::vector<double>(x.size())};
      for (int64_t m = 0; m < count; m++) {
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < channels; c++) mean += value_of(x[m * channels + c]);
        mean /= static_cast<double>(channels);
        for (int64_t c = 0; c < channels; c++) variance += std::pow(value_of(x[m * channels + c]) - mean, 2);
        const double deviation = std::sqrt(variance / static_cast<double>(channels) + 1e-3);
        for (int64_t c = 0; c < channels; c++)
          expected.set(m * channels + c, (value_of(x[m * channels + c]) - mean) / deviation * weight[c] + bias[c]);
      }
      // Both in place and into other memory.
      std::vector<T> out(x.size());
      for (T* to : {out.data(), x.data()})
        table.of<T>().layer_norm({x.data(), count, channels, weight.data(), bias.data(), 1e-3F, to});
      const double tolerance = std::is_same_v<T, float> ? 1e-5 : kBFloat16;  // of a mean of 30
      compare(name, {channels, count}, out, expected, tolerance);
      compare(name, {channels, count}, x, expected, tolerance);
    }
}

template <class T>
void test_attention(const Table& table, const char* name) {
  for (int64_t count : {1, 7, 49, 64, 100, 197})
    for (int64_t depth : {6, 32, 64})
      for (bool cosine : {false, true}) {
        // Queries, keys and values of two heads; the tokens are visited in reverse.
        const int64_t stride = 6 * depth;
        const auto qkv = random_values<T>(count * stride);
        const bool has_bias = any(2) == 0, has_mask = any(2) == 0;
        const int64_t queries = any(2) == 0 ? count : (count + 1) / 2;
        const auto bias = noise(count * count), mask = noise(count * count);
        const float scale = cosine ? 10 : 1 / std::sqrt(static_cast<float>(depth));
        std::vector<const T*> tokens;
        std::vector<int64_t> offsets;
        for (int64_t i = 0; i < count; i++) {
          const int64_t token = count - 1 - i;
          tokens.push_back(qkv.data() + token * stride + depth);
          offsets.push_back(token * depth);
        }
        std::vector<T> out(count * depth);
        std::vector<float> scratch(table.attention_scratch(count, depth));
        table.of<T>().attention({.tokens = tokens.data(),
                                 .keys = 2 * depth,
                                 .values = 4 * depth,
                                 .count = count,
                                 .queries = queries,
                                 .depth = depth,
                                 .scale = scale,
                                 .cosine = cosine,
                                 .bias = has_bias ? bias.data() : nullptr,
                                 .mask = has_mask ? mask.data() : nullptr,
                                 .out = out.data(),
                                 .offsets = offsets.data()},
                                scratch.data());
        Expected expected{std::vector<double>(out.size())};
        auto dot = [&](const T* a, const T* b) {
          double sum = 0;
          for (int64_t k = 0; k < depth; k++) sum += static_cast<double>(value_of(a[k])) * value_of(b[k]);
          return sum;
        };
        for (int64_t i = 0; i < queries; i++) {
          std::vector<double> weights;
          double total = 0;
          for (int64_t j = 0; j < count; j++) {
            const T *query = tokens[i], *key = tokens[j] + 2 * depth;
            double score = dot(query, key) * scale;
            if (cosine) score /= std::sqrt(dot(query, query) * dot(key, key));
            if (has_bias) score += bias[i * count + j];
            if (has_mask) score += mask[i * count + j];
            weights.push_back(std::exp(score));
            total += weights.back();
          }
          for (int64_t k = 0; k < depth; k++) {
            double sum = 0;
            for (int64_t j = 0; j < count; j++) sum += weights[j] / total * value_of(tokens[j][4 * depth + k]);
            expected.set(offsets[i] + k, sum);
          }
        }
        const double tolerance = std::is_same_v<T, float> ? 1e-5 : cosine ? 4e-2 : 2e-2;
        compare(name, {count, queries, depth, cosine, has_bias, has_mask}, out, expected, tolerance);
      }
}

}  // namespace

void test_tokens(const Table& table) {
  test_layer_norm<float>(table, "layer_norm");
  test_attention<float>(table, "attention");
  if (!table.has_bfloat16()) return;
  test_layer_norm<BFloat16>(table, "layer_norm_bfloat16");
  test_attention<BFloat16>(table, "attention_bfloat16");
}

}  // namespace visiontorch::kernels
