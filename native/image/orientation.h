#pragma once

#include <cstdint>
#include <span>

#include "image/image.h"

namespace visiontorch::image {

// The orientation, 1 to 8, in the EXIF data of a JPEG file, or in its XMP data if the EXIF data has none. 1, upright,
// if there is none or it makes no sense.
int jpeg_orientation(std::span<const std::uint8_t> jpeg);

// Turns and mirrors the image upright, as Pillow's ImageOps.exif_transpose does.
Image orient(Image image, int orientation);

}  // namespace visiontorch::image
