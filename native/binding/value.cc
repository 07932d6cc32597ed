#include "binding/value.h"

#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>

#include "checkpoint/dtype.h"
#include "runtime/error.h"

namespace visiontorch::binding {

namespace {

using checkpoint::Value;

// The typed array that JavaScript gets for each dtype; for a dtype that JavaScript lacks, a Uint8Array of its bytes.
napi_typedarray_type array_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return napi_float64_array;
    case at::kFloat: return napi_float32_array;
    case at::kLong: return napi_bigint64_array;
    case at::kInt: return napi_int32_array;
    case at::kShort: return napi_int16_array;
    case at::kChar: return napi_int8_array;
    case at::kUInt64: return napi_biguint64_array;
    case at::kUInt32: return napi_uint32_array;
    case at::kUInt16: return napi_uint16_array;
    case at::kComplexDouble: return napi_float64_array;  // alternating real and imaginary parts
    case at::kComplexFloat: return napi_float32_array;
    default: return napi_uint8_array;
  }
}

size_t element_size(napi_typedarray_type type) {
  switch (type) {
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array: return 8;
    case napi_float32_array:
    case napi_int32_array:
    case napi_uint32_array: return 4;
    case napi_int16_array:
    case napi_uint16_array: return 2;
    default: return 1;
  }
}

[[noreturn]] void invalid(const std::string& path, const std::string& expected) {
  throw Error("ERR_INVALID_ARGUMENT", path + ": expected " + expected);
}

// Strings cross as UTF-8 in which a lone surrogate keeps its three bytes, as in Python's pickles ("surrogatepass"). In
// class names, they stand for bytes of folder names that are not UTF-8 (lib/util/file-name.ts).
std::string from_string(Napi::String string) {
  std::string text = string.Utf8Value();
  if (text.find("\xEF\xBF\xBD") == std::string::npos) return text;  // U+FFFD, which Node-API writes for lone surrogates
  const std::u16string units = string.Utf16Value();
  const auto is = [&](size_t at, char16_t kind) { return at < units.size() && (units[at] & 0xFC00) == kind; };
  text.clear();
  size_t begin = 0;
  const auto copy_until = [&](size_t end) {
    text += Napi::String::New(string.Env(), units.substr(begin, end - begin)).Utf8Value();
  };
  for (size_t at = 0; at < units.size(); at++) {
    if (is(at, 0xD800) && is(at + 1, 0xDC00)) {
      at++;
    } else if (is(at, 0xD800) || is(at, 0xDC00)) {
      copy_until(at);
      text += {'\xED', static_cast<char>(0x80 | (units[at] >> 6 & 0x3F)), static_cast<char>(0x80 | (units[at] & 0x3F))};
      begin = at + 1;
    }
  }
  copy_until(units.size());
  return text;
}

// Reads a JavaScript value. For errors, `path_` tracks the place in the value.
class FromJs {
 public:
  explicit FromJs(Napi::Env env)
      : map_(env.Global().Get("Map").As<Napi::Function>()),
        array_from_(env.Global().Get("Array").As<Napi::Object>().Get("from").As<Napi::Function>()) {}

  Value read(Napi::Value value, const std::string& path, int depth) {
    if (depth > Value::kMaxDepth) {
      invalid(path, "Maps and arrays nested at most " + std::to_string(Value::kMaxDepth) +
                        " deep, and none that contains itself");
    }
    switch (value.Type()) {
      case napi_null: return {};
      case napi_boolean: return value.As<Napi::Boolean>().Value();
      case napi_number: return number(value.As<Napi::Number>().DoubleValue());
      case napi_bigint: return big_int(value.As<Napi::BigInt>());
      case napi_string: return from_string(value.As<Napi::String>());
      case napi_object: return object(value.As<Napi::Object>(), path, depth);
      default: invalid(path, "null, a boolean, number, bigint, string, array, Map or { dtype, shape, data }");
    }
  }

 private:
  static Value number(double number) {
    bool is_int = std::abs(number) <= 9007199254740991.0 && number == std::trunc(number) &&
                  !(number == 0 && std::signbit(number));
    return is_int ? Value(static_cast<int64_t>(number)) : Value(number);
  }

  static Value big_int(Napi::BigInt number) {
    bool lossless;
    int64_t small = number.Int64Value(&lossless);
    if (lossless) return small;
    size_t count = number.WordCount();
    std::vector<uint64_t> words(count);
    int negative = 0;
    number.ToWords(&negative, &count, words.data());
    words.push_back(0);  // room for the sign
    for (uint64_t carry = negative; uint64_t& word : words) {
      if (!negative) break;
      word = ~word + carry;
      carry = carry && word == 0;
    }
    return Value::big_int(std::string(reinterpret_cast<const char*>(words.data()), words.size() * 8));
  }

  Value object(Napi::Object object, const std::string& path, int depth) {
    if (object.IsArray()) {
      Value::List items;
      auto array = object.As<Napi::Array>();
      for (uint32_t i = 0; i < array.Length(); i++) {
        Napi::HandleScope scope(object.Env());
        items.push_back(read(array[i], path + "[" + std::to_string(i) + "]", depth + 1));
      }
      return Value::list(std::move(items));
    }
    if (object.InstanceOf(map_)) {
      Value::Dict items;
      auto entries = array_from_.Call({object}).As<Napi::Array>();
      for (uint32_t i = 0; i < entries.Length(); i++) {
        Napi::HandleScope scope(object.Env());
        auto entry = entries.Get(i).As<Napi::Object>();
        Napi::Value key = entry.Get(0u);
        if (key.IsObject()) invalid("a key of " + path, "a string, number, bigint, boolean or null");
        std::string name =
            path + ".get(" + (key.IsString() ? "'" : "") + key.ToString().Utf8Value() + (key.IsString() ? "')" : ")");
        items.emplace_back(read(key, name, depth + 1), read(entry.Get(1u), name, depth + 1));
      }
      return Value::dict(std::move(items));
    }
    if (object.Has("dtype") && object.Has("shape") && object.Has("data")) return tensor(object, path);
    invalid(path,
            "null, a boolean, number, bigint, string, array, Map or { dtype, shape, data }; write objects as Maps");
  }

  Value tensor(Napi::Object object, const std::string& path) {
    Napi::Value name = object.Get("dtype"), shape = object.Get("shape"), data = object.Get("data");
    auto* dtype =
        name.IsString() ? checkpoint::find_dtype(std::string_view(name.As<Napi::String>().Utf8Value())) : nullptr;
    if (dtype == nullptr)
      invalid(path + ".dtype", "the name of a type of PyTorch, such as 'float32', 'int64' or 'uint8'");
    if (!shape.IsArray()) invalid(path + ".shape", "an array of sizes");
    std::vector<int64_t> sizes;
    auto dimensions = shape.As<Napi::Array>();
    double numel = 1;
    for (uint32_t i = 0; i < dimensions.Length(); i++) {
      Napi::Value size = dimensions[i];
      double number = size.IsNumber() ? size.As<Napi::Number>().DoubleValue() : -1;
      if (!(number >= 0 && number <= 9007199254740991.0 && number == std::trunc(number)))
        invalid(path + ".shape[" + std::to_string(i) + "]", "an integer of at least 0");
      sizes.push_back(static_cast<int64_t>(number));
      numel *= number;
    }
    bool is_array = data.IsTypedArray() && data.As<Napi::TypedArray>().TypedArrayType() == array_type(dtype->type);
    double nbytes = numel * static_cast<double>(c10::elementSize(dtype->type));
    if (!is_array || static_cast<double>(data.As<Napi::TypedArray>().ByteLength()) != nbytes) {
      invalid(path + ".data", "the typed array of dtype '" + std::string(dtype->name) +
                                  "' with the elements of the shape (" + std::to_string(static_cast<int64_t>(nbytes)) +
                                  " bytes; types that JavaScript lacks, such as float16, as Uint8Array)");
    }
    auto array = data.As<Napi::TypedArray>();
    if (array.ByteLength() == 0) return at::empty(sizes, dtype->type);
    const auto* bytes = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
    at::Tensor& tensor = copies_[{bytes, array.ByteLength(), dtype}];
    if (!tensor.defined()) {
      tensor = at::empty(sizes, dtype->type);
      std::memcpy(tensor.data_ptr(), bytes, array.ByteLength());
    }
    return tensor.view(sizes);
  }

  Napi::Function map_, array_from_;
  // By memory address, so that tensors that share memory here also share it in the file.
  std::map<std::tuple<const char*, size_t, const checkpoint::DType*>, at::Tensor> copies_;
};

// Builds a JavaScript value. It may recurse, because the depth of every Value is bounded when it is made.
class ToJs {
 public:
  ToJs(Napi::Env env, TensorMemory memory)
      : env_(env), memory_(memory), map_(env.Global().Get("Map").As<Napi::Function>()), made_(Napi::Array::New(env)) {}

  Napi::Value write(const Value& value) const {
    switch (value.kind()) {
      case Value::Kind::Bool: return Napi::Boolean::New(env_, value.as_bool());
      case Value::Kind::Int: return integer(value.as_int());
      case Value::Kind::Float: return Napi::Number::New(env_, value.as_float());
      case Value::Kind::String: return string_to_js(env_, value.as_string());
      case Value::Kind::BigInt: return big_int(value.as_big_int());
      case Value::Kind::Bytes: return typed_array(value.as_bytes().data);
      case Value::Kind::List:
      case Value::Kind::Tuple: return list(value.as_list());
      case Value::Kind::Dict:
      case Value::Kind::OrderedDict: return dict(value.as_dict());
      case Value::Kind::Tensor: return tensor(value.as_tensor());
      case Value::Kind::None:
      case Value::Kind::Opaque: break;
    }
    return env_.Null();
  }

 private:
  Napi::Value integer(int64_t number) const {
    if (std::abs(static_cast<double>(number)) <= 9007199254740991.0)
      return Napi::Number::New(env_, static_cast<double>(number));
    return Napi::BigInt::New(env_, number);
  }

  Napi::Value big_int(std::string bytes) const {
    bool negative = static_cast<int8_t>(bytes.back()) < 0;
    bytes.resize((bytes.size() + 7) / 8 * 8, negative ? '\xFF' : '\0');
    std::vector<uint64_t> words(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    for (uint64_t carry = negative; uint64_t& word : words) {
      if (!negative) break;
      word = ~word + carry;
      carry = carry && word == 0;
    }
    return Napi::BigInt::New(env_, negative, words.size(), words.data());
  }

  Napi::Value list(const Value::List& items) const {
    auto array = Napi::Array::New(env_, items.size());
    for (uint32_t i = 0; i < items.size(); i++) {
      Napi::HandleScope scope(env_);
      array[i] = write(items[i]);
    }
    return array;
  }

  Napi::Value dict(const Value::Dict& items) const {
    Napi::Object map = map_.New({});
    auto set = map.Get("set").As<Napi::Function>();
    for (const auto& [key, value] : items) {
      Napi::HandleScope scope(env_);
      set.Call(map, {write(key), write(value)});
    }
    return map;
  }

  // Tensors that were one object in Python are one object in JavaScript, and tensors that shared their data still share
  // it.
  Napi::Value tensor(const at::Tensor& tensor) const {
    if (tensor.use_count() == 1) return new_tensor(tensor);
    return once(tensor.unsafeGetTensorImpl(), [&] { return new_tensor(tensor); });
  }

  Napi::Value new_tensor(const at::Tensor& tensor) const {
    auto* dtype = checkpoint::find_dtype(tensor.scalar_type());
    if (dtype == nullptr) throw Error("ERR_INTERNAL", "a tensor of a type that JavaScript does not know");
    auto shape = Napi::Array::New(env_, static_cast<size_t>(tensor.dim()));
    for (uint32_t i = 0; i < shape.Length(); i++)
      shape[i] = Napi::Number::New(env_, static_cast<double>(tensor.size(i)));
    auto result = Napi::Object::New(env_);
    result["dtype"] = Napi::String::New(env_, std::string(dtype->name));
    result["shape"] = shape;
    result["data"] = typed_array(tensor);
    return result;
  }

  Napi::Value typed_array(const at::Tensor& given) const {
    // The same tensor in several places, or other tensors with the same data.
    bool is_shared = given.use_count() > 1 || given.storage().use_count() > 1;
    at::Tensor tensor = given.cpu().contiguous();
    Napi::ArrayBuffer buffer = array_buffer(tensor, is_shared);
    napi_typedarray_type type = array_type(tensor.scalar_type());
    size_t length = tensor.nbytes() / element_size(type);
    napi_value array;
    napi_status status = napi_create_typedarray(env_, type, length, buffer, 0, &array);
    if (status != napi_ok) throw Napi::Error::New(env_);
    return Napi::Value(env_, array);
  }

  Napi::ArrayBuffer array_buffer(const at::Tensor& tensor, bool is_shared) const {
    if (memory_ == TensorMemory::Copy || !is_shared) return new_buffer(tensor);
    return once(tensor.data_ptr(), [&] { return new_buffer(tensor); }).As<Napi::ArrayBuffer>();
  }

  Napi::ArrayBuffer new_buffer(const at::Tensor& tensor) const {
    constexpr size_t kLeastHandedOver = 16 << 10;  // below this, a copy takes less memory than the owner object
    if (memory_ == TensorMemory::HandOver && tensor.nbytes() >= kLeastHandedOver) {
      auto* owner = new at::Tensor(tensor);
      return Napi::ArrayBuffer::New(
          env_, tensor.data_ptr(), tensor.nbytes(), [](Napi::Env, void*, at::Tensor* owner) { delete owner; }, owner);
    }
    auto buffer = Napi::ArrayBuffer::New(env_, tensor.nbytes());
    if (tensor.nbytes() > 0) std::memcpy(buffer.Data(), tensor.data_ptr(), tensor.nbytes());
    return buffer;
  }

  // Returns what make() returned for this address before. A JavaScript array keeps the values, because handles end with
  // their scopes.
  template <class Make>
  Napi::Value once(const void* address, const Make& make) const {
    auto [found, is_new] = index_.try_emplace(address, static_cast<uint32_t>(index_.size()));
    if (!is_new) return made_.Get(found->second);
    const uint32_t index = found->second;
    Napi::Value value = make();
    made_.Set(index, value);
    return value;
  }

  Napi::Env env_;
  TensorMemory memory_;
  Napi::Function map_;
  Napi::Array made_;
  mutable std::unordered_map<const void*, uint32_t> index_;
};

}  // namespace

Napi::String string_to_js(Napi::Env env, const std::string& text) {
  const auto is = [&](size_t at, uint8_t first, uint8_t last) {
    return at < text.size() && static_cast<uint8_t>(text[at]) >= first && static_cast<uint8_t>(text[at]) <= last;
  };
  std::u16string units;
  size_t begin = 0;
  const auto copy_until = [&](size_t end) {
    units += Napi::String::New(env, text.substr(begin, end - begin)).Utf16Value();
  };
  for (size_t at = text.find('\xED'); at != std::string::npos; at = text.find('\xED', at + 1)) {
    if (!is(at + 1, 0xA0, 0xBF) || !is(at + 2, 0x80, 0xBF)) continue;
    copy_until(at);
    units += static_cast<char16_t>(0xD000 | (text[at + 1] & 0x3F) << 6 | (text[at + 2] & 0x3F));
    begin = at + 3;
  }
  if (begin == 0) return Napi::String::New(env, text);
  copy_until(text.size());
  return Napi::String::New(env, units);
}

checkpoint::Value from_js(Napi::Value value) { return FromJs(value.Env()).read(value, "value", 0); }

Napi::Value to_js(Napi::Env env, const checkpoint::Value& value, TensorMemory memory) {
  return ToJs(env, memory).write(value);
}

}  // namespace visiontorch::binding
