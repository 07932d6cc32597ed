#include "image/tone.h"

#include <algorithm>

namespace visiontorch::image {

namespace {

using Histogram = std::array<int, 256>;

Histogram histogram(const Image& image, int channel) {
  Histogram counts{};
  for (std::size_t i = std::size_t(channel); i < image.size(); i += 3) counts[image.data()[i]]++;
  return counts;
}

// Applies a table to each channel that is made from its histogram.
template <class Make>
void apply_by_channel(Image& image, Make make) {
  for (int c = 0; c < 3; c++) {
    const Table table = make(histogram(image, c));
    for (std::size_t i = std::size_t(c); i < image.size(); i += 3) image.data()[i] = table[image.data()[i]];
  }
}

Table make_table(auto value) {
  Table table;
  for (int v = 0; v < 256; v++) table[v] = std::uint8_t(std::clamp(int(value(v)), 0, 255));
  return table;
}

Table identity() {
  return make_table([](int v) { return v; });
}

}  // namespace

void apply_table(Image& image, const Table& table) {
  for (std::size_t i = 0; i < image.size(); i++) image.data()[i] = table[image.data()[i]];
}

void invert(Image& image) {
  apply_table(image, make_table([](int v) { return 255 - v; }));
}

void posterize(Image& image, int bits) {
  const int mask = ~((1 << (8 - bits)) - 1);
  apply_table(image, make_table([&](int v) { return v & mask; }));
}

void solarize(Image& image, double threshold) {
  apply_table(image, make_table([&](int v) { return v < threshold ? v : 255 - v; }));
}

void autocontrast(Image& image) {
  apply_by_channel(image, [](const Histogram& counts) {
    int low = 0, high = 255;
    while (low < 255 && counts[low] == 0) low++;
    while (high > 0 && counts[high] == 0) high--;
    if (high <= low) return identity();
    const double scale = 255.0 / (high - low), offset = -low * scale;
    return make_table([&](int v) { return v * scale + offset; });
  });
}

void equalize(Image& image) {
  apply_by_channel(image, [](const Histogram& counts) {
    int total = 0, last = 0;
    for (int count : counts) {
      total += count;
      if (count > 0) last = count;
    }
    const int step = (total - last) / 255;
    if (step == 0) return identity();
    int sum = step / 2;
    return make_table([&](int v) {
      const int value = sum / step;
      sum += counts[v];
      return value;
    });
  });
}

}  // namespace visiontorch::image
