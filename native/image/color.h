#pragma once

#include <cstddef>
#include <cstdint>

namespace visiontorch::image {

// Inks to light as Pillow converts them (src/libImaging/Convert.c: cmyk2rgb), 4 bytes to 3 a pixel.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::size_t pixels, std::uint8_t* rgb);

}  // namespace visiontorch::image
