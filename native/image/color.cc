#include "image/color.h"

#include <algorithm>

namespace visiontorch::image {

namespace {

// a * b / 255, rounded.
int multiply(int a, int b) {
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

}  // namespace

void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb) {
  for (; pixels > 0; pixels--, cmyk += 4, rgb += 3) {
    const int light = 255 - cmyk[3];
    for (int c = 0; c < 3; c++) rgb[c] = std::uint8_t(std::clamp(light - multiply(cmyk[c], light), 0, 255));
  }
}

}  // namespace visiontorch::image
