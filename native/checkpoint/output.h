#pragma once

#include <cstddef>

namespace visiontorch::checkpoint {

// A file descriptor that is closed at the end.
class Descriptor {
 public:
  // A duplicate, so that the file stays open whatever happens to the given one.
  explicit Descriptor(int given);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// Writes to a file, one part after another. Keeps the first error for check() instead of throwing it:
// PyTorchStreamWriter would throw again from its destructor.
class Output {
 public:
  explicit Output(const Descriptor& file) : file_(file) {}

  size_t write(const void* data, size_t size) noexcept;
  // Throws ERR_FILE_WRITE with the reason alone, if a write failed: the caller knows the path.
  void check() const;

 private:
  const Descriptor& file_;
  int error_ = 0;
};

}  // namespace visiontorch::checkpoint
