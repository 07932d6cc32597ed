#pragma once

#include <cstddef>

namespace visiontorch::checkpoint {

// Owns a file descriptor.
class Descriptor {
 public:
  // Duplicates the given descriptor, so that the file stays open even if that one is closed.
  explicit Descriptor(int given);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// Writes to a file sequentially. Keeps the first error for check() instead of throwing it, because PyTorchStreamWriter
// would throw again from its destructor.
class Output {
 public:
  explicit Output(const Descriptor& file) : file_(file) {}

  size_t write(const void* data, size_t size) noexcept;
  // Throws ERR_FILE_WRITE if a write failed. The message has only the reason, because the caller knows the path.
  void check() const;

 private:
  const Descriptor& file_;
  int error_ = 0;
};

}  // namespace visiontorch::checkpoint
