#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace visiontorch::checkpoint {

// A value of a checkpoint: one of Python's plain values, containers and tensors. Containers are shared, because in a
// pickle several places may refer to one object. Dictionaries keep the order of the file. A Value takes 16 bytes,
// because reading a file of a hundred thousand tensors makes millions of them.
class Value {
 public:
  using List = std::vector<Value>;
  using Dict = std::vector<std::pair<Value, Value>>;
  enum class Kind : uint8_t {
    None,
    Bool,
    Int,
    Float,
    String,
    BigInt,
    Bytes,
    List,
    Tuple,
    Dict,
    OrderedDict,
    Tensor,
    Opaque
  };

  // Python's bytes, or a storage without a tensor: a uint8 tensor with one dimension.
  struct Bytes {
    at::Tensor data;
  };
  // An internal object of the reader: a class, a storage, or a tensor that has not been read yet. A finished value has
  // none.
  struct Opaque : c10::intrusive_ptr_target {};

  // The deepest nesting of containers, both in files that are read and in values that are written. It bounds every
  // recursion.
  static constexpr int kMaxDepth = 256;

  Value() = default;
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : Value(std::move(value), Kind::String) {}
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(at::Tensor value) : data_(std::move(value)) {}
  Value(Bytes value) : data_(std::move(value)) {}
  template <class T>
  Value(c10::intrusive_ptr<T> value) : data_(c10::intrusive_ptr<Opaque>(std::move(value))) {}
  // Makes an int beyond 64 bits from its two's complement, least significant byte first.
  static Value big_int(std::string bytes) { return Value(std::move(bytes), Kind::BigInt); }
  static Value list(List items, Kind kind = Kind::List);  // List or Tuple
  static Value dict(Dict items, Kind kind = Kind::Dict);  // Dict or OrderedDict
  // Makes an OrderedDict that is written with the version of its module, as PyTorch does in the attribute `_metadata`.
  static Value state_dict(Dict items, int64_t version);

  Kind kind() const;
  bool is_dict() const;  // Dict or OrderedDict
  bool is_list() const;  // List or Tuple
  bool is_tensor() const { return kind() == Kind::Tensor; }
  // The identity of a list or dictionary; nullptr for other values.
  const void* identity() const;
  // The version given to state_dict(); 0 for other values.
  int64_t version() const;
  // Marks a list or dictionary as part of a finished value: an Arena leaves its items alone.
  void keep() const;
  bool is_kept() const;

  // If the value is of another kind, each of these throws ERR_CHECKPOINT_MISMATCH, naming the expected kind.
  bool as_bool() const;
  int64_t as_int() const;
  double as_float() const;  // also for an Int
  const std::string& as_string() const;
  const std::string& as_big_int() const;
  const Bytes& as_bytes() const;
  const List& as_list() const;
  List& as_list();
  const Dict& as_dict() const;
  Dict& as_dict();
  const at::Tensor& as_tensor() const;

  // Returns the reader's object of this type, or nullptr.
  template <class T>
  T* as_opaque() const {
    auto* object = std::get_if<c10::intrusive_ptr<Opaque>>(&data_);
    return object ? dynamic_cast<T*>(object->get()) : nullptr;
  }

  // Returns the entry of a dictionary with this string key, or nullptr (also if this is not a dictionary).
  const Value* find(std::string_view key) const;

 private:
  template <class T>
  struct Shared : c10::intrusive_ptr_target {
    Shared(Kind kind, T items) : kind(kind), items(std::move(items)) {}
    const Kind kind;
    bool is_kept = false;
    T items;
    int64_t version = 0;
  };
  using SharedText = c10::intrusive_ptr<Shared<std::string>>;  // String and BigInt
  using SharedList = c10::intrusive_ptr<Shared<List>>;
  using SharedDict = c10::intrusive_ptr<Shared<Dict>>;

  Value(std::string text, Kind kind) : data_(c10::make_intrusive<Shared<std::string>>(kind, std::move(text))) {}
  const std::string* text(Kind kind) const;

  std::variant<std::monostate, bool, int64_t, double, Bytes, at::Tensor, SharedText, SharedList, SharedDict,
               c10::intrusive_ptr<Opaque>>
      data_;
};

static_assert(sizeof(Value) == 16);

}  // namespace visiontorch::checkpoint
