#include "checkpoint/value.h"

#include <iterator>

#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

const char* name_of(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::None: return "None";
    case Value::Kind::Bool: return "bool";
    case Value::Kind::Int: return "int";
    case Value::Kind::Float: return "float";
    case Value::Kind::String: return "str";
    case Value::Kind::BigInt: return "int beyond 64 bits";
    case Value::Kind::Bytes: return "bytes";
    case Value::Kind::List: return "list";
    case Value::Kind::Tuple: return "tuple";
    case Value::Kind::Dict: return "dict";
    case Value::Kind::OrderedDict: return "OrderedDict";
    case Value::Kind::Tensor: return "tensor";
    case Value::Kind::Opaque: return "class";
  }
  return "?";
}

[[noreturn]] void mismatch(const char* expected, Value::Kind got) {
  throw Error("ERR_CHECKPOINT_MISMATCH",
              std::string("expected a ") + expected + " in the checkpoint, got a " + name_of(got));
}

}  // namespace

Value Value::list(List items, Kind kind) {
  Value value;
  value.data_ = c10::make_intrusive<Shared<List>>(kind, std::move(items));
  return value;
}

Value Value::dict(Dict items, Kind kind) {
  Value value;
  value.data_ = c10::make_intrusive<Shared<Dict>>(kind, std::move(items));
  return value;
}

Value Value::state_dict(Dict items, int64_t version) {
  auto shared = c10::make_intrusive<Shared<Dict>>(Kind::OrderedDict, std::move(items));
  shared->version = version;
  Value value;
  value.data_ = std::move(shared);
  return value;
}

int64_t Value::version() const {
  auto* dict = std::get_if<SharedDict>(&data_);
  return dict ? (*dict)->version : 0;
}

Value::Kind Value::kind() const {
  static constexpr Kind kPlain[] = {Kind::None, Kind::Bool, Kind::Int, Kind::Float, Kind::Bytes, Kind::Tensor};
  if (auto* text = std::get_if<SharedText>(&data_)) return (*text)->kind;
  if (auto* list = std::get_if<SharedList>(&data_)) return (*list)->kind;
  if (auto* dict = std::get_if<SharedDict>(&data_)) return (*dict)->kind;
  return data_.index() < std::size(kPlain) ? kPlain[data_.index()] : Kind::Opaque;
}

bool Value::is_dict() const { return std::holds_alternative<SharedDict>(data_); }
bool Value::is_list() const { return std::holds_alternative<SharedList>(data_); }

const void* Value::identity() const {
  if (auto* list = std::get_if<SharedList>(&data_)) return list->get();
  if (auto* dict = std::get_if<SharedDict>(&data_)) return dict->get();
  return nullptr;
}

void Value::keep() const {
  if (auto* list = std::get_if<SharedList>(&data_)) (*list)->is_kept = true;
  if (auto* dict = std::get_if<SharedDict>(&data_)) (*dict)->is_kept = true;
}

bool Value::is_kept() const {
  if (auto* list = std::get_if<SharedList>(&data_)) return (*list)->is_kept;
  if (auto* dict = std::get_if<SharedDict>(&data_)) return (*dict)->is_kept;
  return false;
}

bool Value::as_bool() const {
  if (auto* value = std::get_if<bool>(&data_)) return *value;
  mismatch("bool", kind());
}

int64_t Value::as_int() const {
  if (auto* value = std::get_if<int64_t>(&data_)) return *value;
  mismatch("int", kind());
}

double Value::as_float() const {
  if (auto* value = std::get_if<double>(&data_)) return *value;
  if (auto* value = std::get_if<int64_t>(&data_)) return static_cast<double>(*value);
  mismatch("float", kind());
}

const std::string* Value::text(Kind kind) const {
  auto* text = std::get_if<SharedText>(&data_);
  return text != nullptr && (*text)->kind == kind ? &(*text)->items : nullptr;
}

const std::string& Value::as_string() const {
  if (auto* value = text(Kind::String)) return *value;
  mismatch("str", kind());
}

const std::string& Value::as_big_int() const {
  if (auto* value = text(Kind::BigInt)) return *value;
  mismatch("int beyond 64 bits", kind());
}

const Value::Bytes& Value::as_bytes() const {
  if (auto* value = std::get_if<Bytes>(&data_)) return *value;
  mismatch("bytes", kind());
}

const Value::List& Value::as_list() const {
  if (auto* value = std::get_if<SharedList>(&data_)) return (*value)->items;
  mismatch("list", kind());
}
Value::List& Value::as_list() { return const_cast<List&>(std::as_const(*this).as_list()); }

const Value::Dict& Value::as_dict() const {
  if (auto* value = std::get_if<SharedDict>(&data_)) return (*value)->items;
  mismatch("dict", kind());
}
Value::Dict& Value::as_dict() { return const_cast<Dict&>(std::as_const(*this).as_dict()); }

const at::Tensor& Value::as_tensor() const {
  if (auto* value = std::get_if<at::Tensor>(&data_)) return *value;
  mismatch("tensor", kind());
}

const Value* Value::find(std::string_view key) const {
  if (!is_dict()) return nullptr;
  for (const auto& [name, value] : as_dict())
    if (name.kind() == Kind::String && name.as_string() == key) return &value;
  return nullptr;
}

}  // namespace visiontorch::checkpoint
