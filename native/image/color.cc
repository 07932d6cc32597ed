#include "image/color.h"

#include <algorithm>
#include <cmath>

namespace visiontorch::image {

namespace {

// a * b / 255, rounded.
int multiply(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

struct Hsv {
  std::uint8_t hue, saturation, value;
};

// Uses float and double as Pillow's src/libImaging/Convert.c does (it follows Python's colorsys), because every
// rounding counts.
Hsv to_hsv(const std::uint8_t* rgb) {
  const int r = rgb[0], g = rgb[1], b = rgb[2];
  const int high = std::max({r, g, b}), low = std::min({r, g, b});
  if (high == low) return {0, 0, std::uint8_t(high)};
  const float range = float(high - low);
  const float saturation = range / float(high);
  const float rc = float(high - r) / range, gc = float(high - g) / range, bc = float(high - b) / range;
  float hue;
  if (r == high)
    hue = bc - gc;
  else if (g == high)
    hue = float(2.0 + rc - bc);
  else
    hue = float(4.0 + gc - rc);
  hue = float(std::fmod(hue / 6.0 + 1.0, 1.0));
  return {std::uint8_t(hue * 255.0), std::uint8_t(saturation * 255.0), std::uint8_t(high)};
}

void to_rgb(Hsv hsv, std::uint8_t* rgb) {
  const std::uint8_t v = hsv.value;
  if (hsv.saturation == 0) {
    std::fill_n(rgb, 3, v);
    return;
  }
  const int sector = int(hsv.hue * 6.0 / 255.0);
  const float f = float(hsv.hue * 6.0 / 255.0 - sector);
  const float s = float(hsv.saturation / 255.0);
  const auto p = std::uint8_t(std::round(v * (1.0 - s)));
  const auto q = std::uint8_t(std::round(v * (1.0 - s * f)));
  const auto t = std::uint8_t(std::round(v * (1.0 - s * (1.0 - f))));
  const std::uint8_t sectors[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
  std::copy_n(sectors[sector % 6], 3, rgb);
}

}  // namespace

void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb) {
  for (; pixels > 0; pixels--, cmyk += 4, rgb += 3) {
    const int light = 255 - cmyk[3];
    for (int c = 0; c < 3; c++) rgb[c] = std::uint8_t(std::clamp(light - multiply(cmyk[c], light), 0, 255));
  }
}

void shift_hue(Image& image, double factor) {
  const auto shift = std::uint8_t(int(factor * 255));
  for (std::size_t i = 0; i < image.size(); i += 3) {
    Hsv hsv = to_hsv(image.data() + i);
    hsv.hue += shift;
    to_rgb(hsv, image.data() + i);
  }
}

}  // namespace visiontorch::image
