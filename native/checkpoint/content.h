#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/budget.h"
#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Checks what was unpickled: no cycle, no nesting beyond Value::kMaxDepth, no key twice in a dictionary. Charges what
// the values take in JavaScript, with shared parts written out. Classes become their names; objects become what stands
// for them, or are left to be skipped. Marks all lists and dictionaries with Value::keep().
void check_content(Value& root, Budget& budget);

// A tensor before it is read, or an object that is skipped.
struct Item {
  const std::string& name;   // the keys that lead to it, joined by '/': "state_dict/conv1.weight"
  const TensorSpec* tensor;  // nullptr: skipped
  std::string_view type;     // the class of a skipped object
  bool is_module;            // a skipped torch.nn.Module
};

// Calls visit() for each, in the order of the file.
void for_each_item(const Value& root, const std::function<void(const Item&)>& visit);

// The values around the tensors: a dictionary or list that held tensors or skipped objects lacks them (a list is then a
// dictionary by index), and is left out if nothing else was in it.
Value metadata_of(const Value& root);

// The value with its tensors, read from the file, and None for skipped objects. Tensors share what they shared in the
// file; what they take is charged.
Value with_tensors(const Value& value, Storages& storages, Budget budget);

}  // namespace visiontorch::checkpoint
