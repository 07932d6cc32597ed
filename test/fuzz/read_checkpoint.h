#pragma once

#include <ATen/ATen.h>

#include "checkpoint/file.h"
#include "fuzz.h"
#include "runtime/error.h"

namespace fuzz {

using visiontorch::checkpoint::Value;

inline void add(Digest& digest, const Value& value) {
  digest.add(value.kind());
  if (value.is_list()) {
    for (const Value& item : value.as_list()) add(digest, item);
  } else if (value.is_dict()) {
    for (const auto& [key, item] : value.as_dict()) {
      add(digest, key);
      add(digest, item);
    }
  } else if (value.is_tensor()) {
    const at::Tensor tensor = value.as_tensor().contiguous();
    for (int64_t size : tensor.sizes()) digest.add(size);
    digest.add(tensor.const_data_ptr(), tensor.nbytes());
  } else if (value.kind() == Value::Kind::String) {
    digest.add(value.as_string().data(), value.as_string().size());
  } else if (value.kind() == Value::Kind::Int) {
    digest.add(value.as_int());
  }
}

// Opens and reads a checkpoint as the addon does, twice with different memory patterns. Both must give the same result
// or an error.
inline void read_checkpoint(std::string_view content) {
  using namespace visiontorch::checkpoint;
  const Deadline deadline;
  const MemoryFile memory(content);
  auto read = [&](char pattern) {
    PatternAllocator::install().pattern = pattern;
    Digest digest;
    try {
      const auto file = File::open(memory.path(), {.verify = true});
      add(digest, file->read(file->content()));
    } catch (const visiontorch::Error& error) {
      if (std::string_view(error.what()).size() > 4000) fail("an error message of more than 4,000 bytes");
      digest.add(error.code().data(), error.code().size());
    }
    return digest;
  };
  if (!(read(0x5A) == read('\xA5'))) fail("the result depends on uninitialized memory");
}

}  // namespace fuzz
