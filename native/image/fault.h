#pragma once

#include <cstdint>
#include <string>

#include "runtime/error.h"

namespace visiontorch::image {

// The errors of the decoders. lib/image/decode.ts puts "cat.jpg: expected an image, but" in front of each message.
[[noreturn]] inline void refuse(const std::string& why) { throw Error("ERR_IMAGE_DECODE", why); }

[[noreturn]] inline void damaged(const std::string& what) {
  refuse("it is damaged (" + what + "). Replace or remove the file");
}

[[noreturn]] inline void truncated() { damaged("premature end of the file"); }

// The longest side of an image, as in lib/image/decode.ts.
constexpr std::int64_t kLongestSide = 1 << 18;

inline void check_size(std::int64_t width, std::int64_t height, std::int64_t most_pixels) {
  if (width < 1 || height < 1) damaged("it has no pixels");
  if (width > kLongestSide || height > kLongestSide || width > most_pixels / height)
    refuse("it has " + std::to_string(width) + " x " + std::to_string(height) + " pixels, more than " +
           std::to_string(most_pixels) + " in all or " + std::to_string(kLongestSide) +
           " along a side. Make it smaller first");
}

}  // namespace visiontorch::image
