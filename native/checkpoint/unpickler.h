#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "checkpoint/arena.h"
#include "checkpoint/bytes.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Interprets pickles without running any code: it executes a fixed set of opcodes on a stack of values. Names of
// classes and functions are looked up in globals.h and nowhere else. Every operation and every value is charged to the
// budget.
class Unpickler {
 public:
  // Returns what a persistent id stands for: a storage or, in tar files, a tensor.
  using PersistentLoad = std::function<Value(const Value& id)>;

  Unpickler(ByteReader& in, Arena& arena, PersistentLoad persistent_load = nullptr)
      : in_(in), arena_(arena), budget_(arena.budget()), persistent_load_(std::move(persistent_load)) {}

  // Reads one pickle, up to its STOP.
  Value load();

 private:
  void execute(uint8_t opcode);
  void push(Value value);
  void push_string(std::string_view text);
  Value pop();
  Value& top();
  Value::List pop_to_mark();
  void tuple(size_t count);
  void put(uint32_t index);
  void get(uint32_t index);
  void push_int_text();
  void push_long_text();
  void push_long_bytes(std::string_view bytes);
  void push_global(std::string_view module, std::string_view name);
  void mark();
  void charge_depth();
  void reduce();
  void new_object();
  void build();
  void append(Value::List items);
  void set_items(Value::List items);
  Value contents_of_top(bool is_dict);
  [[noreturn]] void fail(const std::string& what) const;

  ByteReader& in_;
  Arena& arena_;
  Budget& budget_;
  PersistentLoad persistent_load_;
  std::vector<Value> stack_;
  std::vector<size_t> marks_;
  size_t deepest_ = 0;  // the largest total size of stack_ and marks_ so far, which has been charged
  std::deque<Value> memo_;
  std::vector<bool> is_stored_;  // in memo_
  uint64_t at_ = 0;              // the offset of the current opcode
};

}  // namespace visiontorch::checkpoint
