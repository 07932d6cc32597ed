#pragma once

#include <string>
#include <string_view>

#include "checkpoint/input_file.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Throws an error for a file that is not in one of PyTorch's containers. The message says what the file appears to be,
// and how to make a checkpoint from it. `path` is quoted.
[[noreturn]] void refuse_foreign_format(const InputFile& file, const std::string& path);

// The same for zip files, judged by the names of their records.
class ForeignZip {
 public:
  void add(std::string_view name);
  // Throws if torch.save cannot have written the file.
  void refuse() const;

 private:
  size_t count_ = 0;
  bool is_torch_ = false;
  std::string first_, checkpoint_;  // the names of the first record, and of a record that looks like a checkpoint
  const char* format_ = nullptr;
};

// Throws ERR_CHECKPOINT_UNSUPPORTED for a file whose only tensors are inside a pickled model.
void require_weights(const Value& content);

}  // namespace visiontorch::checkpoint
