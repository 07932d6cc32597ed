#include "image/weights.h"

#include <algorithm>
#include <cmath>

namespace visiontorch::image {

namespace {

double bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

}  // namespace

Weights::Weights(int in, int out, int begin, int count, Filter filter)
    : first_(std::size_t(count)), taps_(std::size_t(count)) {
  double (*kernel)(double) = filter == Filter::Bicubic ? bicubic : bilinear;
  const double scale = double(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = (filter == Filter::Bicubic ? 2.0 : 1.0) * filter_scale;
  const int most = int(std::ceil(support)) * 2 + 1;
  stride_ = (most + kGroup - 1) / kGroup * kGroup;
  values_.resize(std::size_t(count) * stride_);
  split_.resize(values_.size() * 2);
  std::vector<double> exact(most);
  for (int i = 0; i < count; i++) {
    const double center = (begin + i + 0.5) * scale;
    const int low = std::max(int(center - support + 0.5), 0);
    const int taps = std::min(int(center + support + 0.5), in) - low;
    double sum = 0;
    for (int k = 0; k < taps; k++) sum += exact[k] = kernel((k + low - center + 0.5) * (1 / filter_scale));
    std::int32_t* values = &values_[std::size_t(i) * stride_];
    std::int16_t* split = &split_[std::size_t(i) * stride_ * 2];
    for (int k = 0; k < taps; k++) {
      const double weight = (sum != 0 ? exact[k] / sum : exact[k]) * (1 << kPrecision);
      values[k] = std::int32_t(weight < 0 ? weight - 0.5 : weight + 0.5);
      std::int16_t* group = split + k / kGroup * kGroup * 2 + k % kGroup;
      group[0] = std::int16_t(values[k] & ((1 << kLowBits) - 1));
      group[kGroup] = std::int16_t(values[k] >> kLowBits);
    }
    first_[i] = low;
    taps_[i] = taps;
    reach_ = std::max(reach_, low + groups(i) * kGroup);
  }
}

}  // namespace visiontorch::image
