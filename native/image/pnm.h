#pragma once

#include <cstdint>
#include <span>

#include "image/image.h"

namespace visiontorch::image {

bool is_pnm(std::span<const std::uint8_t> start);

// Decodes a portable bitmap, graymap or pixmap (P1 to P6) as Pillow does. Samples are scaled to 8 bits. Of gray samples
// with more than 8 bits, which Pillow clips at 255, this keeps the high byte. Throws ERR_IMAGE_DECODE.
Image decode_pnm(std::span<const std::uint8_t> file, std::int64_t most_pixels);

}  // namespace visiontorch::image
