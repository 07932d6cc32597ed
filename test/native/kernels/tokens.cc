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

void test_attention_gradient(const Table& table) {
  for (int64_t count : {1, 7, 49, 64, 100, 197})
    for (int64_t depth : {6, 32, 64}) {
      // Queries, keys and values of two heads; the tokens are visited in reverse.
      const int64_t stride = 6 * depth, keys = 2 * depth, values = 4 * depth;
      const auto qkv = noise(count * stride), results = noise(count * depth);
      const bool has_bias = any(2) == 0, has_mask = any(2) == 0;
      const int64_t queries = any(2) == 0 ? count : (count + 1) / 2;
      const auto bias = noise(count * count), mask = noise(count * count), before = noise(count * count);
      const float scale = 1 / std::sqrt(static_cast<float>(depth));
      std::vector<const float*> tokens, gradients;
      std::vector<int64_t> offsets;
      for (int64_t i = 0; i < count; i++) {
        offsets.push_back((count - 1 - i) * stride + depth);
        tokens.push_back(qkv.data() + offsets.back());
        gradients.push_back(results.data() + i * depth);
      }
      std::vector<float> out(qkv.size()), bias_gradient = before;
      std::vector<float> scratch(table.attention_gradient_scratch(count, depth));
      table.attention_gradient({.tokens = tokens.data(),
                                .keys = keys,
                                .values = values,
                                .count = count,
                                .queries = queries,
                                .depth = depth,
                                .scale = scale,
                                .bias = has_bias ? bias.data() : nullptr,
                                .mask = has_mask ? mask.data() : nullptr,
                                .gradients = gradients.data(),
                                .out = out.data(),
                                .offsets = offsets.data(),
                                .bias_gradient = has_bias ? bias_gradient.data() : nullptr},
                               scratch.data());
      std::vector<double> expected(out.size()), expected_bias(before.begin(), before.end());
      auto dot = [&](const float* a, const float* b) {
        double sum = 0;
        for (int64_t k = 0; k < depth; k++) sum += static_cast<double>(a[k]) * b[k];
        return sum;
      };
      for (int64_t i = 0; i < queries; i++) {
        std::vector<double> weights, changes;
        double total = 0, mean = 0;
        for (int64_t j = 0; j < count; j++) {
          double score = dot(tokens[i], tokens[j] + keys) * scale;
          if (has_bias) score += bias[i * count + j];
          if (has_mask) score += mask[i * count + j];
          weights.push_back(std::exp(score));
          changes.push_back(dot(gradients[i], tokens[j] + values));
          total += weights.back();
        }
        for (int64_t j = 0; j < count; j++) mean += (weights[j] /= total) * changes[j];
        for (int64_t j = 0; j < count; j++) {
          const double change = weights[j] * (changes[j] - mean);
          if (has_bias) expected_bias[i * count + j] += change;
          for (int64_t k = 0; k < depth; k++) {
            expected[offsets[i] + k] += scale * change * tokens[j][keys + k];
            expected[offsets[j] + keys + k] += scale * change * tokens[i][k];
            expected[offsets[j] + values + k] += weights[j] * gradients[i][k];
          }
        }
      }
      auto check = [&](const char* name, const std::vector<float>& got, const std::vector<double>& wanted) {
        Expected all{std::vector<double>(wanted.size())};
        for (size_t i = 0; i < wanted.size(); i++) all.set(static_cast<int64_t>(i), wanted[i]);
        compare(name, {count, queries, depth, has_bias, has_mask}, got, all, 1e-5);
      };
      check("attention_gradient", out, expected);
      check("attention_gradient_bias", bias_gradient, expected_bias);
    }
}

}  // namespace

void test_tokens(const Table& table) {
  test_layer_norm<float>(table, "layer_norm");
  test_attention<float>(table, "attention");
  test_attention_gradient(table);
  if (!table.has_bfloat16()) return;
  test_layer_norm<BFloat16>(table, "layer_norm_bfloat16");
  test_attention<BFloat16>(table, "attention_bfloat16");
}

}  // namespace visiontorch::kernels
