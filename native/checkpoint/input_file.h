#pragma once

#include <c10/core/Allocator.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

namespace visiontorch::checkpoint {

// A regular file, open for reading. Its bytes are copied with pread(2), which reports an error if the file is truncated
// in the meantime; reading a mapping would end the process with SIGBUS.
class InputFile {
 public:
  // Throws ERR_FILE_NOT_FOUND, or ERR_FILE_READ for anything but a regular file.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return static_cast<uint64_t>(opened_.st_size); }
  // Copies `count` bytes.
  void read(uint64_t offset, void* to, uint64_t count) const;
  std::string read(uint64_t offset, uint64_t count) const;
  // Throws ERR_FILE_READ if the file was written to after it was opened, because the bytes read may then be a mixture.
  // Replacing the file (renaming another over it) does no harm, because the old one stays open here.
  void check_unchanged() const;

 private:
  std::string path_;
  int descriptor_;
  struct stat opened_;  // size and modification time when it was opened

  friend class Mapping;
};

// Maps the whole file into memory, copy on write, for as long as anything shares it. Unlike copied bytes, these change
// when another program writes to the file, and accessing them after the file was truncated raises SIGBUS.
class Mapping : public std::enable_shared_from_this<Mapping> {
 public:
  // The file must not be empty.
  explicit Mapping(const InputFile& file);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  // Returns the memory at `offset`. The result keeps the mapping alive.
  c10::DataPtr share(uint64_t offset);

 private:
  char* data_;
  uint64_t size_;
};

}  // namespace visiontorch::checkpoint
