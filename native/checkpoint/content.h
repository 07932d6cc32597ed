#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/budget.h"
#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Checks that an unpickled value has no cycle, no nesting beyond Value::kMaxDepth, and no duplicate key in a
// dictionary. Charges the memory that it takes in JavaScript, where shared parts are copied. Replaces classes by their
// names, and objects by their content; objects without content stay and are skipped later. Marks all lists and
// dictionaries with Value::keep().
void check_content(Value& root, Budget& budget);

// A tensor that has not been read yet, or a skipped object.
struct Item {
  const std::string& name;   // the keys on the way to it, joined by '/': "state_dict/conv1.weight"
  const TensorSpec* tensor;  // nullptr: skipped
  std::string_view type;     // the class of a skipped object
  bool is_module;            // a skipped torch.nn.Module
};

// Calls visit() for each tensor and skipped object, in the order of the file.
void for_each_item(const Value& root, const std::function<void(const Item&)>& visit);

// Returns the value without its tensors and skipped objects. A list that contained some becomes a dictionary by index,
// and a dictionary or list that contained nothing else is left out.
Value metadata_of(const Value& root);

// Returns the value with its tensors, read from the file, and with None for skipped objects. Tensors share the data
// that they shared in the file; their memory is charged.
Value with_tensors(const Value& value, Storages& storages, Budget budget);

}  // namespace visiontorch::checkpoint
