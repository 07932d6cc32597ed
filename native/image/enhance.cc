#include "image/enhance.h"

#include <algorithm>

#include "image/color.h"
#include "image/tone.h"

namespace visiontorch::image {

namespace {

// Pillow's Image.blend: in float, clipped when it extrapolates.
std::uint8_t blend(int degenerate, int pixel, float factor) {
  return std::uint8_t(std::clamp(float(degenerate) + factor * float(pixel - degenerate), 0.0f, 255.0f));
}

void blend_constant(Image& image, int degenerate, float factor) {
  Table table;
  for (int v = 0; v < 256; v++) table[v] = blend(degenerate, v, factor);
  apply_table(image, table);
}

// ImageFilter.SMOOTH: a neighbour weighs 1/13 and the centre 5/13, added in Pillow's order. The border stays as it is.
Image smooth(const Image& image) {
  constexpr float one = 1.0f / 13, five = 5.0f / 13;
  Image result = copy(image.view());
  const int values = (image.width() - 1) * 3;
  for (int y = 1; y < image.height() - 1; y++) {
    const std::uint8_t *above = image.row(y - 1), *here = image.row(y), *below = image.row(y + 1);
    std::uint8_t* out = result.row(y);
    for (int i = 3; i < values; i++) {
      float sum = 0.5f;
      sum += float(below[i - 3]) * one + float(below[i]) * one + float(below[i + 3]) * one;
      sum += float(here[i - 3]) * one + float(here[i]) * five + float(here[i + 3]) * one;
      sum += float(above[i - 3]) * one + float(above[i]) * one + float(above[i + 3]) * one;
      out[i] = std::uint8_t(std::min(sum, 255.0f));
    }
  }
  return result;
}

}  // namespace

void enhance_brightness(Image& image, double factor) { blend_constant(image, 0, float(factor)); }

void enhance_contrast(Image& image, double factor) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < image.size(); i += 3) sum += luma(image.data() + i);
  blend_constant(image, int(double(sum) / double(image.size() / 3) + 0.5), float(factor));
}

void enhance_color(Image& image, double factor) {
  for (std::size_t i = 0; i < image.size(); i += 3) {
    std::uint8_t* rgb = image.data() + i;
    const int gray = luma(rgb);
    for (int c = 0; c < 3; c++) rgb[c] = blend(gray, rgb[c], float(factor));
  }
}

void enhance_sharpness(Image& image, double factor) {
  const Image smoothed = smooth(image);
  for (std::size_t i = 0; i < image.size(); i++)
    image.data()[i] = blend(smoothed.data()[i], image.data()[i], float(factor));
}

}  // namespace visiontorch::image
