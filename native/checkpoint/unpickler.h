#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "checkpoint/arena.h"
#include "checkpoint/bytes.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Interprets pickles without running anything: a closed list of opcodes on a stack of values, globals by name from a
// closed list (globals.h). Whatever else a pickle asks for is an error that says what and where.
class Unpickler {
 public:
  // What a persistent id stands for: a storage, or in tar files a tensor.
  using PersistentLoad = std::function<Value(const Value& id)>;

  Unpickler(ByteReader& in, Arena& arena, PersistentLoad persistent_load = nullptr)
      : in_(in), arena_(arena), persistent_load_(std::move(persistent_load)) {}

  // Reads one pickle, up to its STOP.
  Value load();

 private:
  void execute(uint8_t opcode);
  void push(Value value);
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
  void reduce();
  void build();
  void append(Value::List items);
  void set_items(Value::List items);
  [[noreturn]] void fail(const std::string& what) const;

  ByteReader& in_;
  Arena& arena_;
  PersistentLoad persistent_load_;
  std::vector<Value> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Value> memo_;
  uint64_t at_ = 0;  // where the current opcode stands
};

}  // namespace visiontorch::checkpoint
