#pragma once

#include <cstdint>
#include <string_view>

namespace visiontorch::checkpoint {

// The CRC-32 of zip files. (LibTorch's miniz and Node's zlib export none that an addon could count on.)
// `before`: that of the bytes that come before these.
uint32_t crc32(std::string_view bytes, uint32_t before = 0);

}  // namespace visiontorch::checkpoint
