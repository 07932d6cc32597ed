#pragma once

// Compares the kernels with plain loops in double precision.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/int8/int8.h"
#include "kernels/kernels.h"

namespace visiontorch::kernels {

using std::int64_t;

// Of the largest value before or after an activation.
constexpr double kFloat = 3e-6, kWinograd = 1e-5, kBFloat16 = 8e-3, kWinogradBFloat16 = 4e-2;

int64_t any(int64_t count);               // of [0, count)
std::vector<float> noise(int64_t count);  // in (-1, 1)

inline float value_of(float x) { return x; }
inline float value_of(BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

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

struct Results {  // of a kernel
  int cases = 0, failures = 0;
  std::string first;
};
extern std::map<std::string, Results> results;

inline double activated(double x, Activation activation) {
  const double hardsigmoid = std::clamp(x / 6 + 0.5, 0.0, 1.0), sigmoid = 1 / (1 + std::exp(-x));
  switch (activation) {
    case Activation::None: return x;
    case Activation::ReLU: return std::max(x, 0.0);
    case Activation::ReLU6: return std::clamp(x, 0.0, 6.0);
    case Activation::Hardswish: return x * hardsigmoid;
    case Activation::Hardsigmoid: return hardsigmoid;
    case Activation::SiLU: return x * sigmoid;
    case Activation::Sigmoid: return sigmoid;
    case Activation::GELU: return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::Tanh: return std::tanh(x);
  }
  return x;
}

// The expected values of one case, and how large they are.
struct Expected {
  std::vector<double> values;
  double largest = 1e-9;
  Activation activation = Activation::None;

  void set(int64_t at, double value) {
    const double result = activated(value, activation);
    largest = std::max({largest, std::fabs(value), std::fabs(result)});
    values[static_cast<size_t>(at)] = result;
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

inline Activation any_activation() { return static_cast<Activation>(any(9)); }

// The derivative of Hardswish or SiLU.
inline double derivative(double x, Activation activation) {
  if (activation == Activation::Hardswish) return x < -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1;
  const double sigmoid = 1 / (1 + std::exp(-x));
  return sigmoid * (1 + x * (1 - sigmoid));
}

void test_products(const Table& table);
void test_depthwise(const Table& table);
void test_grouped(const Table& table);
void test_winograd(const Table& table);
void test_batch_norm(const Table& table);
void test_elementwise(const Table& table);
void test_pooling(const Table& table);
void test_preactivation(const Table& table);
void test_tokens(const Table& table);
void test_int8(const Int8Kernels& kernels);

}  // namespace visiontorch::kernels
