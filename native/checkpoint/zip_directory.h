#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/budget.h"
#include "checkpoint/input_file.h"

namespace visiontorch::checkpoint {

struct ZipRecord {
  std::string name;
  uint64_t offset, size;  // of its data in the file
  uint32_t crc;
  bool is_compressed;
};

// The records of a zip file in the order of its central directory. Strict: named
// once and harmlessly, not overlapping, the same in both headers, nothing before the first or after the end.
std::vector<ZipRecord> read_zip_directory(const InputFile& file, Budget& budget);

}  // namespace visiontorch::checkpoint
