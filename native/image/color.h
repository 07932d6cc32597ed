#pragma once

#include <cstddef>
#include <cstdint>

#include "image/image.h"

namespace visiontorch::image {

// Converts CMYK, 4 bytes per pixel, to RGB, 3 bytes per pixel, as Pillow does (cmyk2rgb in src/libImaging/Convert.c).
void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb);

// Pillow's convert('L').
inline std::uint8_t luma(const std::uint8_t* rgb) {
  return std::uint8_t((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

// torchvision's adjust_hue for PIL images: shifts the hue by `factor` of the colour circle, -0.5 to 0.5, in Pillow's
// 8-bit HSV.
void shift_hue(Image& image, double factor);

}  // namespace visiontorch::image
