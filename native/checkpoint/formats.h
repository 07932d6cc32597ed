#pragma once

#include <string>
#include <string_view>

#include "checkpoint/input_file.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Throws an error for a file that is none of PyTorch's containers: it says what the file is, as far as its bytes tell,
// and how to make a checkpoint of it. `path` is quoted.
[[noreturn]] void refuse_foreign_format(const InputFile& file, const std::string& path);

// The same for zip files, from the names of their records.
class ForeignZip {
 public:
  void add(std::string_view name);
  // Throws, unless torch.save may have written the file.
  void refuse() const;

 private:
  size_t count_ = 0;
  bool is_torch_ = false;
  std::string first_, checkpoint_;  // the names of the first record, and of one that is a checkpoint
  const char* format_ = nullptr;
};

// Throws ERR_CHECKPOINT_UNSUPPORTED for a file that has no tensors but in a whole pickled model.
void require_weights(const Value& content);

}  // namespace visiontorch::checkpoint
