#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/crc32.h"

namespace fuzz {

// Makes the zip file that torch.save writes around this pickle, with the storages '0' (64 bytes) and '1' (64 KiB).
inline std::string zip_checkpoint(std::string_view pickle) {
  std::string small(64, '\x3F'), large(65536, '\0');
  const std::vector<std::pair<std::string, std::string_view>> records = {
      {"archive/data.pkl", pickle}, {"archive/data/0", small}, {"archive/data/1", large}, {"archive/version", "3\n"}};
  std::string file, directory;
  auto number = [](std::string& to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++, value >>= 8) to.push_back(static_cast<char>(value));
  };
  for (const auto& [name, content] : records) {
    const size_t offset = file.size();
    const uint32_t crc = visiontorch::checkpoint::crc32(content);
    auto common = [&](std::string& to) {
      number(to, 0, 2 + 2 + 2 + 2);  // flags, stored, time, date
      number(to, crc, 4);
      number(to, content.size(), 4);
      number(to, content.size(), 4);
      number(to, name.size(), 2);
      number(to, 0, 2);  // no extra field
    };
    file += std::string("PK\x03\x04\x14\0", 6);
    common(file);
    file.append(name).append(content);
    directory += std::string("PK\x01\x02\x14\0\x14\0", 8);
    common(directory);
    number(directory, 0, 2 + 2 + 2 + 4);  // comment, disk, attributes
    number(directory, offset, 4);
    directory += name;
  }
  const size_t begin = file.size();
  file += directory;
  file += std::string("PK\x05\x06\0\0\0\0", 8);
  number(file, records.size(), 2);
  number(file, records.size(), 2);
  number(file, directory.size(), 4);
  number(file, begin, 4);
  number(file, 0, 2);
  return file;
}

}  // namespace fuzz
