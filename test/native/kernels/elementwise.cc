// Elementwise operations of training.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

double gelu_derivative(double x) {
  const double distribution = (1 + std::erf(x / std::sqrt(2.0))) / 2;
  return distribution + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
}

void test_bias_gelu(const Table& table) {
  for (int64_t channels : {1, 8, 24, 36, 96})
    for (int64_t count : {1, 5}) {
      auto x = noise(count * channels), gradient = noise(count * channels), bias = noise(channels);
      for (float& value : x) value *= 8;  // as far as the function bends
      std::vector<float> out(x.size()), dx(x.size()), sums(channels);
      table.bias_gelu({x.data(), count, channels, bias.data(), out.data()});
      table.bias_gelu_gradient({x.data(), gradient.data(), count, channels, bias.data(), dx.data(), sums.data()});
      Expected expected{std::vector<double>(x.size()), 1e-9, Activation::GELU};
      Expected expected_dx{std::vector<double>(x.size())}, expected_sums{std::vector<double>(sums.size())};
      for (int64_t i = 0; i < count * channels; i++) {
        const double sum = double(x[i]) + bias[i % channels];
        expected.set(i, sum);
        // Where the derivative is close to zero, it is a difference of larger values.
        expected_dx.largest = expected_sums.largest = std::max(expected_dx.largest, std::fabs(double(gradient[i])));
        expected_dx.set(i, gradient[i] * gelu_derivative(sum));
        expected_sums.set(i % channels, expected_sums.values[i % channels] + expected_dx.values[i]);
      }
      compare("bias_gelu", {channels, count}, out, expected, kFloat);
      compare("bias_gelu_gradient", {channels, count}, dx, expected_dx, kFloat);
      compare("bias_gelu_gradient", {channels, count}, sums, expected_sums, kFloat);
      table.bias_gelu_gradient({x.data(), gradient.data(), count, channels, bias.data(), gradient.data(), sums.data()});
      compare("bias_gelu_gradient", {channels, count}, gradient, expected_dx, kFloat);
    }
}

void test_scaled_sum(const Table& table) {
  for (int64_t channels : {1, 8, 24, 36, 96})
    for (int64_t count : {1, 5}) {
      const auto x = noise(count * channels), residual = noise(count * channels), factors = noise(channels);
      std::vector<float> out(x.size()), dx(x.size()), sums(channels);
      table.scaled_sum({x.data(), residual.data(), count, channels, factors.data(), out.data()});
      table.scaled_sum_gradient(  // the residual serves as the gradient
          {x.data(), residual.data(), count, channels, factors.data(), dx.data(), sums.data()});
      Expected expected{std::vector<double>(x.size())}, expected_dx = expected;
      Expected expected_sums{std::vector<double>(sums.size())};
      for (int64_t i = 0; i < count * channels; i++) {
        const int64_t c = i % channels;
        expected.set(i, residual[i] + double(x[i]) * factors[c]);
        expected_dx.set(i, double(residual[i]) * factors[c]);
        expected_sums.set(c, expected_sums.values[c] + double(residual[i]) * x[i]);
      }
      compare("scaled_sum", {channels, count}, out, expected, kFloat);
      compare("scaled_sum_gradient", {channels, count}, dx, expected_dx, kFloat);
      compare("scaled_sum_gradient", {channels, count}, sums, expected_sums, kFloat);
    }
}

}  // namespace

void test_elementwise(const Table& table) {
  test_bias_gelu(table);
  test_scaled_sum(table);
}

}  // namespace visiontorch::kernels
