#pragma once

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "checkpoint/bytes.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// All containers that were made while a file is read. A pickle can nest them without end and into themselves; here
// they are emptied one by one, so that neither deep nesting nor a cycle is met when they die. Those whose depth was
// checked are spared. It also counts: values are cheap to write in a pickle, and dear in memory.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    for (Value& container : containers_) {
      if (spared_.contains(container.identity())) continue;
      if (container.is_list())
        container.as_list().clear();
      else
        container.as_dict().clear();
    }
  }

  Value list(Value::List items, Value::Kind kind = Value::Kind::List) {
    count(items.size());
    return keep(Value::list(std::move(items), kind));
  }
  Value dict(Value::Kind kind) { return keep(Value::dict({}, kind)); }

  // Whatever a pickle puts onto its stack, into its memo or into a copy counts.
  void count(size_t values) {
    values_ += values;
    if (values_ > kMaxValues) corrupt("the file holds more than " + std::to_string(kMaxValues) + " values");
  }

  // These containers, by identity, outlive the arena: no cycle and no deep nesting is among them.
  void spare(std::unordered_set<const void*> containers) { spared_ = std::move(containers); }

 private:
  static constexpr size_t kMaxValues = 2'000'000;
  static constexpr size_t kMaxContainers = 400'000;

  Value keep(Value container) {
    if (containers_.size() == kMaxContainers)
      corrupt("the file holds more than " + std::to_string(kMaxContainers) + " lists and dictionaries");
    containers_.push_back(container);
    return container;
  }

  std::vector<Value> containers_;
  std::unordered_set<const void*> spared_;
  size_t values_ = 0;
};

}  // namespace visiontorch::checkpoint
