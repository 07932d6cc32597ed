#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "image/image.h"

namespace visiontorch::image {

// Decodes JPEG, BMP and PBM, PGM or PPM to RGB, told by its first bytes. nullopt: it is of another format. Throws
// ERR_IMAGE_DECODE, and never allocates pixels for a file with more than `most_pixels`. With `auto_orient`, a JPEG is
// turned upright as its EXIF data says.
std::optional<Image> decode(std::span<const std::uint8_t> file, std::int64_t most_pixels, bool auto_orient);

// The same for the regular file at `path`. nullopt also if it is something else or cannot be read; never waits for it.
std::optional<Image> decode_file(const std::string& path, std::int64_t most_pixels, bool auto_orient);

}  // namespace visiontorch::image
