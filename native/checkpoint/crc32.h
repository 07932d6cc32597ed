#pragma once

#include <cstdint>
#include <string_view>

namespace visiontorch::checkpoint {

// The CRC-32 of zip files. (Neither LibTorch's miniz nor Node's zlib exports one that an addon can rely on.)
// `before` is the CRC-32 of the preceding bytes.
uint32_t crc32(std::string_view bytes, uint32_t before = 0);

}  // namespace visiontorch::checkpoint
