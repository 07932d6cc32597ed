#pragma once

#include <cstdint>
#include <span>

#include "image/image.h"

namespace visiontorch::image {

bool is_jpeg(std::span<const std::uint8_t> start);

// Decodes a JPEG file of gray, YCbCr, RGB or CMYK pixels with 8 bits per channel to the same RGB as Pillow: both use
// libjpeg-turbo with its accurate transform and its smooth upsampling. Throws ERR_IMAGE_DECODE for damage, for more
// than `most_pixels` pixels, and for more scans than any encoder writes.
Image decode_jpeg(std::span<const std::uint8_t> file, std::int64_t most_pixels);

}  // namespace visiontorch::image
