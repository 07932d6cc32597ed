#pragma once

#include <cstdint>
#include <span>

#include "image/image.h"

namespace visiontorch::image {

bool is_bmp(std::span<const std::uint8_t> start);

// Decodes a Windows or OS/2 bitmap as Pillow does: 1, 4, 8, 16, 24 or 32 bits per pixel, raw, RLE4, RLE8 or with
// BITFIELDS, bottom up or top down. Throws ERR_IMAGE_DECODE for any other kind, for damage and for too many pixels.
Image decode_bmp(std::span<const std::uint8_t> file, std::int64_t most_pixels);

}  // namespace visiontorch::image
