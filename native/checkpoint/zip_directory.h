#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace visiontorch::checkpoint {

// One record of a zip file, in place.
struct ZipRecord {
  std::string_view name;
  std::string_view data;
  uint32_t crc;
  bool is_compressed;
};

// The records of a zip file in the order of its central directory. Strict, for records are used where they lie: named
// once and harmlessly, not overlapping, the same in both headers, nothing before the first or after the end.
std::vector<ZipRecord> read_zip_directory(std::string_view file);

}  // namespace visiontorch::checkpoint
