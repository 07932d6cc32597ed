#pragma once

#include "checkpoint/value.h"

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

// Writes `value` as torch.save does, into an empty file, as a zip file that torch.load(weights_only=True) reads. Throws
// ERR_FILE_WRITE with the reason alone: the caller knows the path.
void write(const Descriptor& file, const Value& value);

}  // namespace visiontorch::checkpoint
