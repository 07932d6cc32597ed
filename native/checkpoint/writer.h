#pragma once

#include <string>

#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Writes `value` as torch.save does, into a zip file that torch.load(weights_only=True) reads. The file is written
// beside itself, flushed and renamed: at any moment `path` is the old file or the new one, whole.
void write(const std::string& path, const Value& value);

}  // namespace visiontorch::checkpoint
