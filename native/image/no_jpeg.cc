#include "image/jpeg.h"

// In place of jpeg.cc in a build without libjpeg-turbo: sharp then decodes every JPEG, to the same pixels.

namespace visiontorch::image {

std::optional<Image> decode_jpeg_file(const std::string&, std::int64_t) { return std::nullopt; }

std::optional<Image> decode_jpeg(std::span<const std::uint8_t>, std::int64_t) { return std::nullopt; }

}  // namespace visiontorch::image
