#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/budget.h"
#include "checkpoint/input_file.h"

namespace visiontorch::checkpoint {

struct ZipRecord {
  std::string name;
  uint64_t offset, size;  // of the data in the file
  uint32_t crc;
  bool is_compressed;
};

// Returns the records of a zip file in the order of its central directory. The reader is strict: names must be unique
// and safe, records must not overlap, both headers must agree, and nothing may precede the first record or follow the
// end.
std::vector<ZipRecord> read_zip_directory(const InputFile& file, Budget& budget);

}  // namespace visiontorch::checkpoint
