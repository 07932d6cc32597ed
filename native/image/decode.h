#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "image/image.h"

namespace visiontorch::image {

// Decodes a JPEG, BMP, PBM, PGM or PPM file, recognized by its first bytes, to RGB. Returns nullopt for another format.
// Throws ERR_IMAGE_DECODE, and never allocates pixels for a file with more than `most_pixels`. With `auto_orient`,
// turns a JPEG upright according to its EXIF data.
std::optional<Image> decode(std::span<const std::uint8_t> file, std::int64_t most_pixels, bool auto_orient);

// The same for the regular file at `path`. Also returns nullopt if it is not a regular file or cannot be read. Never
// waits for a pipe.
std::optional<Image> decode_file(const std::string& path, std::int64_t most_pixels, bool auto_orient);

}  // namespace visiontorch::image
