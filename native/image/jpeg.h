#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "image/image.h"

namespace visiontorch::image {

// Decodes a JPEG file of gray, YCbCr or RGB pixels, 8 bits each, to the RGB that Pillow gives: both use libjpeg-turbo
// with its accurate transform and its smooth upsampling. nullopt: it is another file, or not wholly sound, or has more
// than `most_pixels` pixels, and another decoder has to judge it.
std::optional<Image> decode_jpeg(std::span<const std::uint8_t> file, std::int64_t most_pixels);

// The same for the file at `path`. nullopt also where it cannot be read.
std::optional<Image> decode_jpeg_file(const std::string& path, std::int64_t most_pixels);

}  // namespace visiontorch::image
