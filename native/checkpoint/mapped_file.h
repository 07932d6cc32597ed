#pragma once

#include <c10/core/Allocator.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace visiontorch::checkpoint {

// A file mapped copy on write: tensors may lie in it and be written to, and the file stays as it is. It lives as long
// as anything that shares it. Replacing the file (as our writer does) is harmless; a program that shortens it in
// place while it is mapped would take the ground from under the tensors, as with torch.load(mmap=True).
class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  static std::shared_ptr<MappedFile> open(const std::string& path);
  MappedFile(const std::string& path, int descriptor, uint64_t size);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  // The memory at `offset`, which keeps the mapping alive.
  c10::DataPtr share(uint64_t offset);
  // Copies from the file itself, so that the pages of the mapping do not count twice.
  void read(uint64_t offset, void* to, uint64_t count) const;

 private:
  void read_part(uint64_t offset, char* to, uint64_t count) const;

  std::string path_;
  int descriptor_;
  uint64_t size_;
  char* data_ = nullptr;
};

}  // namespace visiontorch::checkpoint
