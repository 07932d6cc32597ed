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
  enum class Kind { None, Bool, Int, Float, String, BigInt, Bytes, List, Tuple, Dict, OrderedDict, Tensor, Opaque };

  // An int beyond 64 bits: two's complement, least significant byte first.
  struct BigInt {
    std::shared_ptr<const std::string> bytes;
  };
  // Python's bytes, and a storage that stands alone: a uint8 tensor with one dimension.
  struct Bytes {
    at::Tensor data;
  };
  // What only the reader understands: classes, storages, tensors that are not read yet. None is in a finished value.
  struct Opaque {
    virtual ~Opaque() = default;
  };

  // Deepest nesting of containers, in files that are read as in values that are written: it bounds every recursion.
  static constexpr int kMaxDepth = 256;

  Value() = default;
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(at::Tensor value) : data_(std::move(value)) {}
  Value(BigInt value) : data_(std::move(value)) {}
  Value(Bytes value) : data_(std::move(value)) {}
  Value(std::shared_ptr<const Opaque> value) : data_(std::move(value)) {}
  static Value list(List items, Kind kind = Kind::List);  // List or Tuple
  static Value dict(Dict items, Kind kind = Kind::Dict);  // Dict or OrderedDict

  Kind kind() const;
  bool is_dict() const;  // Dict or OrderedDict
  bool is_list() const;  // List or Tuple
  bool is_tensor() const { return kind() == Kind::Tensor; }
  // What tells one list or dictionary from another; nullptr for other values.
  const void* identity() const;

  // Each throws ERR_CHECKPOINT_MISMATCH, naming what was expected, when the value is of another kind.
  bool as_bool() const;
  int64_t as_int() const;
  double as_float() const;  // an Int counts
  const std::string& as_string() const;
  const BigInt& as_big_int() const;
  const Bytes& as_bytes() const;
  const List& as_list() const;
  List& as_list();
  const Dict& as_dict() const;
  Dict& as_dict();
  const at::Tensor& as_tensor() const;

  // The reader's object of this type, or nullptr.
  template <class T>
  const T* as_opaque() const {
    auto* object = std::get_if<std::shared_ptr<const Opaque>>(&data_);
    return object ? dynamic_cast<const T*>(object->get()) : nullptr;
  }

  // The entry of a dictionary with this string key, or nullptr (also when this is no dictionary).
  const Value* find(std::string_view key) const;

 private:
  template <class Container>
  struct Shared {
    Kind kind;
    std::shared_ptr<Container> items;
  };
  std::variant<std::monostate, bool, int64_t, double, std::shared_ptr<const std::string>, BigInt, Bytes, Shared<List>,
               Shared<Dict>, at::Tensor, std::shared_ptr<const Opaque>>
      data_;
};

}  // namespace visiontorch::checkpoint
