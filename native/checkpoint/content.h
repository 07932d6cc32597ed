#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// What a file holds, before its tensors are read.
struct TensorInfo {
  std::string name;  // the keys that lead to it, joined by '/': "state_dict/conv1.weight"
  at::ScalarType dtype;
  std::vector<int64_t> sizes;
  int64_t bytes;
};

// Checks what was unpickled: no cycle, no nesting beyond Value::kMaxDepth, no key twice, and neither values nor tensor
// data that grow far beyond the file when shared parts are written out. Classes as values become their names.
// Gives the identities of the lists and dictionaries that it found.
std::unordered_set<const void*> check_content(Value& root, uint64_t file_size);

// The tensors in the order of the file; and the values around them, in which a dictionary or list that held tensors
// lacks them (a list is then a dictionary by index), and is left out when nothing else was in it.
std::vector<TensorInfo> list_tensors(const Value& root);
Value metadata_of(const Value& root);

// The value with its tensors, read from the file.
Value with_tensors(const Value& value, Storages& storages);

}  // namespace visiontorch::checkpoint
