#pragma once

#include <cstddef>
#include <cstdint>

#include "image/image.h"

namespace visiontorch::image {

// Inks to light as Pillow converts them (src/libImaging/Convert.c: cmyk2rgb), 4 bytes to 3 a pixel.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb);

// Pillow's convert('L').
inline std::uint8_t luma(const std::uint8_t* rgb) {
  return std::uint8_t((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

// torchvision's adjust_hue of a PIL image: by `factor` of the circle, -0.5 to 0.5, through Pillow's 8 bit HSV.
void shift_hue(Image& image, double factor);

}  // namespace visiontorch::image
