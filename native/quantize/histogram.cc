#include "quantize/histogram.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "runtime/error.h"
#include "runtime/parallel.h"

namespace visiontorch::quantize {

namespace {

constexpr int kLevels = 255;      // steps between the smallest and the largest byte
constexpr double kTail = 5e-5;    // the fraction of values that the percentile method leaves out at either end
constexpr int kCandidates = 100;  // ends of the range that are tried
constexpr int64_t kGrain = int64_t{1} << 16;

}  // namespace

// Doubles the range, by merging neighboring bins, until it covers low to high.
void Histogram::include(double low, double high) {
  if (width_ == 0) {
    low_ = low;
    width_ = (high - low) / kBins;
    if (width_ == 0) width_ = std::max(std::abs(low), 1e-30) / kBins;
    return;
  }
  while (low < low_ || high > low_ + width_ * kBins) {
    const bool downwards = low < low_;
    std::vector<int64_t> merged(kBins);
    const size_t offset = downwards ? kBins / 2 : 0;
    for (size_t i = 0; i < kBins; i++) merged[offset + i / 2] += bins_[i];
    bins_ = std::move(merged);
    if (downwards) low_ -= width_ * kBins;
    width_ *= 2;
  }
}

void Histogram::add(const at::Tensor& values) {
  const auto [lowest, highest] = at::aminmax(values);
  const double low = lowest.item<double>(), high = highest.item<double>();
  if (!std::isfinite(low) || !std::isfinite(high))
    throw Error("ERR_NON_FINITE",
                "the network computes numbers that are not finite (NaN or infinity) for the calibration images. "
                "Calibrate a network that predicts them");
  min_ = is_empty() ? low : std::min(min_, low);
  max_ = is_empty() ? high : std::max(max_, high);
  include(low, high);
  count_ += values.numel();
  const auto* data = values.const_data_ptr<float>();
  std::mutex mutex;
  parallel_ranges(values.numel(), kGrain, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> bins(kBins);
    const auto origin = static_cast<float>(low_), per_width = static_cast<float>(1 / width_);
    for (int64_t i = begin; i < end; i++) {
      const auto bin = static_cast<int>((data[i] - origin) * per_width);
      bins[static_cast<size_t>(std::clamp(bin, 0, static_cast<int>(kBins) - 1))]++;
    }
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < kBins; i++) bins_[i] += bins[i];
  });
}

nn::ByteScale Histogram::scale(Method method) const {
  auto range = [&]() -> Range {
    switch (method) {
      case Method::MinMax: return {min_, max_};
      case Method::Percentile: return percentile();
      case Method::Mse: return least_error();
    }
    return {};
  };
  const Range chosen = range();
  return byte_scale(chosen.low, chosen.high);
}

Histogram::Range Histogram::percentile() const {
  const double most = static_cast<double>(count_) * kTail;
  size_t first = 0, last = kBins - 1;
  for (double below = 0; first < last && (below += static_cast<double>(bins_[first])) <= most;) first++;
  for (double above = 0; last > first && (above += static_cast<double>(bins_[last])) <= most;) last--;
  return {std::max(min_, low_ + static_cast<double>(first) * width_),
          std::min(max_, low_ + static_cast<double>(last + 1) * width_)};
}

double Histogram::squared_error(Range range) const {
  const nn::ByteScale bytes = byte_scale(range.low, range.high);
  const double scale = bytes.scale, low = -scale * bytes.zero_point, high = scale * (kLevels - bytes.zero_point);
  double sum = 0;
  for (size_t i = 0; i < kBins; i++) {
    if (bins_[i] == 0) continue;
    const double value = center(i);
    const double clipped = value < low ? low - value : value > high ? value - high : 0;
    // The rounding error is uniformly distributed over a step. Zero, which ReLU produces, is exact.
    const bool is_zero = std::abs(value) <= width_ / 2;
    sum += static_cast<double>(bins_[i]) * (clipped > 0 ? clipped * clipped : is_zero ? 0 : scale * scale / 12);
  }
  return sum;
}

Histogram::Range Histogram::least_error() const {
  Range best{std::min(min_, 0.0), std::max(max_, 0.0)};
  double least = squared_error(best);
  const Range whole = best;
  auto attempt = [&](Range range) {
    const double error = squared_error(range);
    if (error < least) {
      least = error;
      best = range;
    }
  };
  for (int i = 1; i < kCandidates; i++) attempt({best.low, whole.high * i / kCandidates});
  for (int i = 1; i < kCandidates && whole.low < 0; i++) attempt({whole.low * i / kCandidates, best.high});
  return best;
}

nn::ByteScale byte_scale(double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  const auto scale = static_cast<float>((high - low) / kLevels);
  // Below the smallest normal number, the reciprocal would overflow.
  if (scale < 1e-30F) return {};
  const double zero_point = std::clamp(std::nearbyint(-low / scale), 0.0, static_cast<double>(kLevels));
  return {scale, static_cast<uint8_t>(zero_point)};
}

at::Tensor fake_quantize(const at::Tensor& values, const nn::ByteScale& scale) {
  return at::fake_quantize_per_tensor_affine(values, scale.scale, scale.zero_point, 0, kLevels);
}

}  // namespace visiontorch::quantize
