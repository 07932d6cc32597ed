#include "image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace visiontorch::image {

namespace {

// The arithmetic of Pillow's src/libImaging/Resample.c: weights in double precision, rounded to fixed point with 22
// bits, so that 8 bits of pixel and the overshoot of bicubic fit an int.
constexpr int kPrecision = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kPrecision - 1);

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

std::uint8_t clip(std::int32_t sum) { return std::uint8_t(std::clamp(sum >> kPrecision, 0, 255)); }

// For outputs [begin, begin + count) of a line that is resized from `in` to `out` pixels: which pixels contribute, and
// with what weight.
struct Weights {
  Weights(int in, int out, int begin, int count, Filter filter) {
    double (*kernel)(double) = filter == Filter::Bicubic ? bicubic : bilinear;
    const double scale = double(in) / out;
    const double filter_scale = std::max(scale, 1.0);
    const double support = (filter == Filter::Bicubic ? 2.0 : 1.0) * filter_scale;
    taps = int(std::ceil(support)) * 2 + 1;
    first.resize(count);
    used.resize(count);
    values.resize(std::size_t(count) * taps);
    std::vector<double> exact(taps);
    for (int i = 0; i < count; i++) {
      const double center = (begin + i + 0.5) * scale;
      const int low = std::max(int(center - support + 0.5), 0);
      const int n = std::min(int(center + support + 0.5), in) - low;
      double sum = 0;
      for (int k = 0; k < n; k++) sum += exact[k] = kernel((k + low - center + 0.5) * (1 / filter_scale));
      for (int k = 0; k < n; k++) {
        const double weight = (sum != 0 ? exact[k] / sum : exact[k]) * (1 << kPrecision);
        values[std::size_t(i) * taps + k] = std::int32_t(weight < 0 ? weight - 0.5 : weight + 0.5);
      }
      first[i] = low;
      used[i] = n;
    }
  }

  const std::int32_t* of(int i) const { return &values[std::size_t(i) * taps]; }
  int begin() const { return first.front(); }
  int end() const { return first.back() + used.back(); }

  int taps;
  std::vector<int> first, used;
  std::vector<std::int32_t> values;
};

void horizontal_row(const std::uint8_t* in, std::uint8_t* out, const Weights& weights) {
  for (std::size_t x = 0; x < weights.first.size(); x++) {
    const std::uint8_t* pixel = in + weights.first[x] * 3;
    const std::int32_t* w = weights.of(int(x));
    std::int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int k = 0; k < weights.used[x]; k++, pixel += 3) {
      r += pixel[0] * w[k];
      g += pixel[1] * w[k];
      b += pixel[2] * w[k];
    }
    *out++ = clip(r);
    *out++ = clip(g);
    *out++ = clip(b);
  }
}

void vertical_row(const std::uint8_t* in, std::size_t stride, std::uint8_t* out, int bytes, const std::int32_t* w,
                  int taps, std::int32_t* sums) {
  std::fill_n(sums, bytes, kHalf);
  for (int k = 0; k < taps; k++, in += stride)
    for (int i = 0; i < bytes; i++) sums[i] += in[i] * w[k];
  for (int i = 0; i < bytes; i++) out[i] = clip(sums[i]);
}

// Pillow resizes without a filter as an affine map whose source position is accumulated, not multiplied.
std::vector<int> nearest_positions(int in, int out, int begin, int count) {
  const double step = double(in) / out;
  std::vector<int> positions;
  double position = step * 0.5;
  for (int i = 0; i < begin + count; i++, position += step)
    if (i >= begin) positions.push_back(std::min(int(position), in - 1));
  return positions;
}

Image resize_nearest(View source, int width, int height, Rect crop) {
  const auto xs = nearest_positions(source.width, width, crop.left, crop.width);
  const auto ys = nearest_positions(source.height, height, crop.top, crop.height);
  Image result(crop.width, crop.height);
  for (int y = 0; y < crop.height; y++) {
    std::uint8_t* out = result.row(y);
    for (int x : xs) out = std::copy_n(source.row(ys[y]) + x * 3, 3, out);
  }
  return result;
}

Image copy(View source) {
  Image result(source.width, source.height);
  for (int y = 0; y < source.height; y++) std::memcpy(result.row(y), source.row(y), result.stride());
  return result;
}

}  // namespace

Image resize(View source, int width, int height, Rect crop, Filter filter) {
  if (filter == Filter::Nearest) return resize_nearest(source, width, height, crop);

  const Weights columns(source.width, width, crop.left, crop.width, filter);
  const Weights rows(source.height, height, crop.top, crop.height, filter);
  const bool same_height = height == source.height;
  // Only the rows that the second pass will read. A pass that would change nothing is left out, as in Pillow.
  const int top = rows.begin();
  source = source.region({0, top, source.width, rows.end() - top});
  Image narrowed;
  if (width == source.width) {
    source = source.region({crop.left, 0, crop.width, source.height});
  } else {
    narrowed = Image(crop.width, source.height);
    for (int y = 0; y < source.height; y++) horizontal_row(source.row(y), narrowed.row(y), columns);
    source = narrowed.view();
  }
  if (same_height) return copy(source.region({0, crop.top - top, crop.width, crop.height}));

  Image result(crop.width, crop.height);
  std::vector<std::int32_t> sums(result.stride());
  for (int y = 0; y < crop.height; y++)
    vertical_row(source.row(rows.first[y] - top), source.stride, result.row(y), crop.width * 3, rows.of(y),
                 rows.used[y], sums.data());
  return result;
}

}  // namespace visiontorch::image
