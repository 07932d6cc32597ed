#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/bytes.h"
#include "checkpoint/globals.h"
#include "checkpoint/storages.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

// The arguments of one call. Each accessor checks the type.
class Arguments {
 public:
  Arguments(std::string_view function, const Value::List& values, size_t least, size_t most)
      : function_(function), values_(values) {
    if (values.size() < least || values.size() > most) wrong();
  }

  size_t size() const { return values_.size(); }
  // Returns the content of an Object, if it has any, instead of the object.
  const Value& operator[](size_t i) const {
    auto* object = values_[i].as_opaque<Object>();
    return object != nullptr && object->items.kind() != Value::Kind::None ? object->items : values_[i];
  }

  int64_t integer(size_t i) const { return integer(values_[i]); }
  double number(size_t i) const {
    if (values_[i].kind() != Value::Kind::Float && values_[i].kind() != Value::Kind::Int) wrong();
    return values_[i].as_float();
  }
  const Value::List& list(size_t i) const {
    if (!values_[i].is_list()) wrong();
    return values_[i].as_list();
  }
  std::vector<int64_t> integers(size_t i) const {
    std::vector<int64_t> numbers;
    if (list(i).size() > 64) wrong();  // PyTorch's limit on the number of dimensions
    for (const Value& value : list(i)) numbers.push_back(integer(value));
    return numbers;
  }
  const std::string& string(size_t i) const {
    if (values_[i].kind() != Value::Kind::String) wrong();
    return values_[i].as_string();
  }
  const StorageRef& storage(size_t i) const { return opaque<StorageRef>((*this)[i]); }
  const TensorSpec& tensor(size_t i) const { return opaque<TensorSpec>((*this)[i]); }
  const Global& global(size_t i) const { return opaque<Global>(values_[i]); }
  at::ScalarType dtype(size_t i) const {
    const Global& type = global(i);
    if (type.what != Global::What::DType) wrong();
    return *type.dtype;
  }

  [[noreturn]] void wrong() const { corrupt("wrong arguments for " + printable(function_)); }

 private:
  int64_t integer(const Value& value) const {
    if (value.kind() != Value::Kind::Int) wrong();
    return value.as_int();
  }
  template <class T>
  const T& opaque(const Value& value) const {
    auto* object = value.as_opaque<T>();
    if (object == nullptr) wrong();
    return *object;
  }

  std::string_view function_;
  const Value::List& values_;
};

}  // namespace visiontorch::checkpoint
