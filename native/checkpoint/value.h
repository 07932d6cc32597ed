#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace visiontorch::checkpoint {

// What a checkpoint holds: Python's plain values, containers and tensors. Containers are shared, as in a pickle,
// where one object may be referenced from several places. Dictionaries keep the order of the file.
class Value {
 public:
  using List = std::vector<Value>;
  using Dict = std::vector<std::pair<Value, Value>>;
  enum class Kind { None, Bool, Int, Float, String, List, Tuple, Dict, OrderedDict, Tensor };

  Value() = default;
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(at::Tensor value) : data_(std::move(value)) {}
  static Value list(List items, Kind kind = Kind::List);  // List or Tuple
  static Value dict(Dict items, Kind kind = Kind::Dict);  // Dict or OrderedDict

  Kind kind() const;
  bool is_dict() const;  // Dict or OrderedDict
  bool is_list() const;  // List or Tuple
  bool is_tensor() const { return kind() == Kind::Tensor; }

  // Each throws ERR_CHECKPOINT_MISMATCH, naming what was expected, when the value is of another kind.
  bool as_bool() const;
  int64_t as_int() const;
  double as_float() const;  // an Int counts
  const std::string& as_string() const;
  const List& as_list() const;
  List& as_list();
  const Dict& as_dict() const;
  Dict& as_dict();
  const at::Tensor& as_tensor() const;

  // The entry of a dictionary with this string key, or nullptr (also when this is no dictionary).
  const Value* find(std::string_view key) const;

 private:
  template <class Container>
  struct Shared {
    Kind kind;
    std::shared_ptr<Container> items;
  };
  std::variant<std::monostate, bool, int64_t, double, std::string, Shared<List>, Shared<Dict>, at::Tensor> data_;
};

}  // namespace visiontorch::checkpoint
