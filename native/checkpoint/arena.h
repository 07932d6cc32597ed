#pragma once

#include <utility>
#include <vector>

#include "checkpoint/budget.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Owns all lists and dictionaries that are made while a file is read, and charges them to the budget. A pickle can nest
// them arbitrarily deep and in cycles; the arena empties them one by one, so that their destructors meet neither deep
// nesting nor a cycle. It leaves alone those that check_content() found sound and marked with Value::keep().
class Arena {
 public:
  explicit Arena(Budget& budget) : budget_(budget) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    for (Value& container : containers_) {
      if (container.is_kept()) continue;
      if (container.is_list())
        container.as_list().clear();
      else
        container.as_dict().clear();
    }
  }

  Value list(Value::List items, Value::Kind kind = Value::Kind::List) {
    budget_.charge(kContainer + items.size() * sizeof(Value));
    return keep(Value::list(std::move(items), kind));
  }
  Value dict(Value::Kind kind = Value::Kind::Dict) {
    budget_.charge(kContainer);
    return keep(Value::dict({}, kind));
  }
  // Tuples are immutable, so all empty ones can be the same.
  Value empty_tuple() {
    if (!empty_tuple_.is_list()) empty_tuple_ = list({}, Value::Kind::Tuple);
    return empty_tuple_;
  }
  Budget& budget() { return budget_; }

 private:
  static constexpr uint64_t kContainer = 96;  // the object and its place in containers_

  Value keep(Value container) {
    containers_.push_back(container);
    return container;
  }

  Budget& budget_;
  std::vector<Value> containers_;
  Value empty_tuple_;
};

}  // namespace visiontorch::checkpoint
