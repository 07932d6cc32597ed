#include "checkpoint/globals.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

#include "checkpoint/bytes.h"
#include "checkpoint/storages.h"

namespace visiontorch::checkpoint {

namespace {

using What = Global::What;

constexpr std::pair<std::string_view, What> kNames[] = {
    {"collections.OrderedDict", What::OrderedDict},
    {"__builtin__.set", What::Set},
    {"builtins.set", What::Set},
    {"__builtin__.bytes", What::Bytes},
    {"_codecs.encode", What::Encode},
    {"torch.storage.UntypedStorage", What::Storage},
    {"torch.storage.TypedStorage", What::Storage},
    {"torch.Size", What::Size},
    {"torch.device", What::Device},
    {"torch.nn.parameter.Parameter", What::Parameter},
    {"torch._utils._rebuild_tensor", What::RebuildTensor},
    {"torch._utils._rebuild_tensor_v2", What::RebuildTensorV2},
    {"torch._utils._rebuild_tensor_v3", What::RebuildTensorV3},
    {"torch._utils._rebuild_parameter", What::RebuildParameter},
};

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](auto prefix) { return name.starts_with(prefix); });
}

// What PyTorch saves and this reader does not read, with what to do about it; empty for anything else.
std::string_view unsupported(std::string_view name) {
  if (starts_with_any(name, {"torch.Complex", "torch.complex"}))
    return "complex tensors are not supported. Save them as torch.view_as_real(tensor)";
  if (starts_with_any(name, {"torch.QUInt", "torch.QInt", "torch.quint", "torch.qint", "torch.per_",
                             "torch._utils._rebuild_qtensor"}))
    return "quantized tensors are not supported. Save them as tensor.dequantize()";
  if (starts_with_any(name, {"torch._utils._rebuild_sparse", "torch.serialization._get_layout", "torch.sparse_"}))
    return "sparse tensors are not supported. Save them as tensor.to_dense()";
  if (starts_with_any(name, {"torch.float8", "torch.float4", "torch.uint", "torch.int", "torch.bits"}))
    return "tensors of this type are not supported. Save them as tensor.float()";
  if (starts_with_any(name, {"torch.nn.modules.", "torchvision.models."}))
    return "the file holds a whole model and not only its weights, and needs its Python code. In Python, save "
           "model.state_dict() instead: torch.save(model.state_dict(), path)";
  return {};
}

const DType* find_stem(std::string_view name, std::string_view suffix) {
  if (!name.starts_with("torch.") || !name.ends_with(suffix)) return nullptr;
  std::string_view stem = name.substr(6, name.size() - 6 - suffix.size());
  for (const DType& dtype : kDTypes)
    if (dtype.stem == stem) return &dtype;
  return nullptr;
}

struct Known {
  What what;
  const DType* dtype = nullptr;
};

std::optional<Known> look_up(std::string_view name) {
  for (const auto& [known, what] : kNames)
    if (known == name) return Known{what};
  if (auto* dtype = find_stem(name, "Storage")) return Known{What::Storage, dtype};
  if (auto* dtype = find_stem(name, "Tensor")) return Known{What::TensorType, dtype};
  if (auto* dtype = name.starts_with("torch.") ? find_dtype(name.substr(6)) : nullptr) return Known{What::DType, dtype};
  return std::nullopt;
}

// The arguments of one call, each taken as the type that it must have.
class Arguments {
 public:
  Arguments(const Global& global, const Value::List& values, size_t least, size_t most)
      : global_(global), values_(values) {
    if (values.size() < least || values.size() > most) wrong();
  }

  size_t size() const { return values_.size(); }
  const Value& operator[](size_t i) const { return values_[i]; }

  int64_t integer(size_t i) const {
    if (values_[i].kind() != Value::Kind::Int) wrong();
    return values_[i].as_int();
  }
  std::vector<int64_t> integers(size_t i) const {
    std::vector<int64_t> numbers;
    if (list(i).size() > 64) wrong();  // PyTorch's limit of dimensions
    for (const Value& value : list(i)) {
      if (value.kind() != Value::Kind::Int) wrong();
      numbers.push_back(value.as_int());
    }
    return numbers;
  }
  const Value::List& list(size_t i) const {
    if (!values_[i].is_list()) wrong();
    return values_[i].as_list();
  }
  const std::string& string(size_t i) const {
    if (values_[i].kind() != Value::Kind::String) wrong();
    return values_[i].as_string();
  }
  void boolean(size_t i) const {
    if (values_[i].kind() != Value::Kind::Bool) wrong();
  }
  // Backward hooks are code, and never in a file that torch.load(weights_only=True) reads.
  void no_hooks(size_t i) const {
    bool none = values_[i].kind() == Value::Kind::None || (values_[i].is_dict() && values_[i].as_dict().empty());
    if (!none) wrong();
  }
  const StorageRef& storage(size_t i) const {
    auto* storage = values_[i].as_opaque<StorageRef>();
    if (storage == nullptr) wrong();
    return *storage;
  }
  void tensor(size_t i) const {
    if (values_[i].as_opaque<TensorSpec>() == nullptr) wrong();
  }
  at::ScalarType dtype(size_t i) const {
    auto* global = values_[i].as_opaque<Global>();
    if (global == nullptr || global->what != What::DType) wrong();
    return *global->dtype;
  }

  [[noreturn]] void wrong() const { corrupt("wrong arguments for " + global_.name); }

 private:
  const Global& global_;
  const Value::List& values_;
};

Value rebuild_tensor(const Arguments& arguments, Arena& arena, std::optional<at::ScalarType> dtype) {
  arena.count(8);  // what its sizes and strides take
  const StorageRef& storage = arguments.storage(0);
  if (!dtype) dtype = storage.dtype;
  if (!dtype) arguments.wrong();
  return Value(std::shared_ptr<const Value::Opaque>(
      Storages::tensor(storage, *dtype, arguments.integer(1), arguments.integers(2), arguments.integers(3))));
}

// The last argument of _rebuild_tensor_v2 and _v3: flags of lazily conjugated and negated tensors.
void no_metadata(const Arguments& arguments, size_t i) {
  if (arguments.size() <= i || arguments[i].kind() == Value::Kind::None) return;
  if (!arguments[i].is_dict()) arguments.wrong();
  for (const auto& [flag, on] : arguments[i].as_dict()) {
    if (on.kind() == Value::Kind::Bool && !on.as_bool()) continue;
    throw Error("ERR_CHECKPOINT_UNSUPPORTED",
                "conjugate and negative views are not supported. Save tensor.resolve_conj().resolve_neg()");
  }
}

Value bytes(std::string_view text) {
  at::Tensor data = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), static_cast<char*>(data.data_ptr()));
  return Value(Value::Bytes{std::move(data)});
}

// _codecs.encode(text, 'latin1'): how pickles of protocol 2 hold bytes, a character below 256 for each.
Value encode(const Arguments& arguments, Arena& arena) {
  if (arguments.string(1) != "latin1") arguments.wrong();
  std::string result;
  const std::string& text = arguments.string(0);
  arena.count(text.size() / 32);
  for (size_t i = 0; i < text.size(); i++) {
    auto byte = static_cast<uint8_t>(text[i]);
    if (byte >= 0x80) {
      bool is_two_bytes = (byte == 0xC2 || byte == 0xC3) && i + 1 < text.size();
      if (!is_two_bytes) arguments.wrong();
      byte = static_cast<uint8_t>((byte & 3) << 6 | (text[++i] & 0x3F));
    }
    result.push_back(static_cast<char>(byte));
  }
  return bytes(result);
}

Value ordered_dict(const Arguments& arguments, Arena& arena) {
  Value result = arena.dict(Value::Kind::OrderedDict);
  if (arguments.size() == 0) return result;
  for (const Value& pair : arguments.list(0)) {  // Python 2: a list of [key, value] lists
    if (!pair.is_list() || pair.as_list().size() != 2) arguments.wrong();
    arena.count(2);
    result.as_dict().emplace_back(pair.as_list()[0], pair.as_list()[1]);
  }
  return result;
}

Value device(const Arguments& arguments) {
  std::string name = arguments.string(0);
  return arguments.size() == 2 ? name + ":" + std::to_string(arguments.integer(1)) : name;
}

}  // namespace

Value find_global(std::string_view module, std::string_view name, const std::string& where, uint64_t offset) {
  std::string full = std::string(module) + "." + std::string(name);
  std::string place = "\"" + full + "\" at byte " + std::to_string(offset) + " of " + where;
  auto known = look_up(full);
  if (!known) {
    std::string_view reason = unsupported(full);
    if (!reason.empty())
      throw Error("ERR_CHECKPOINT_UNSUPPORTED", std::string(reason) + ". (The pickle names " + place + ")");
    throw Error("ERR_CHECKPOINT_UNSAFE",
                "the pickle names " + place +
                    ", which loading in Python would run and which is not needed for weights. Nothing was run. If you "
                    "trust the file, load it in Python and save what you need: torch.save(model.state_dict(), path)");
  }
  auto global = std::make_shared<Global>();
  global->what = known->what;
  if (known->dtype != nullptr) global->dtype = known->dtype->type;
  global->name = std::move(full);
  global->offset = offset;
  return Value(std::shared_ptr<const Value::Opaque>(std::move(global)));
}

Value call(const Global& global, const Value::List& values, Arena& arena) {
  auto expect = [&](size_t least, size_t most) { return Arguments(global, values, least, most); };
  switch (global.what) {
    case What::OrderedDict: return ordered_dict(expect(0, 1), arena);
    case What::Set: {
      Arguments arguments = expect(0, 1);
      return arena.list(arguments.size() == 0 ? Value::List{} : arguments.list(0));
    }
    case What::Bytes: expect(0, 0); return bytes("");
    case What::Encode: return encode(expect(2, 2), arena);
    case What::Size: {
      Arguments arguments = expect(0, 1);
      if (arguments.size() > 0) arguments.integers(0);  // for the check
      return arena.list(arguments.size() == 0 ? Value::List{} : arguments.list(0), Value::Kind::Tuple);
    }
    case What::Device: return device(expect(1, 2));
    case What::Parameter: {
      Arguments arguments = expect(1, 2);
      arguments.tensor(0);
      if (arguments.size() == 2) arguments.boolean(1);
      return arguments[0];
    }
    case What::RebuildTensor: return rebuild_tensor(expect(4, 4), arena, std::nullopt);
    case What::RebuildTensorV2: {
      Arguments arguments = expect(6, 7);
      arguments.boolean(4);
      arguments.no_hooks(5);
      no_metadata(arguments, 6);
      return rebuild_tensor(arguments, arena, std::nullopt);
    }
    case What::RebuildTensorV3: {
      Arguments arguments = expect(7, 8);
      arguments.boolean(4);
      arguments.no_hooks(5);
      no_metadata(arguments, 7);
      return rebuild_tensor(arguments, arena, arguments.dtype(6));
    }
    case What::RebuildParameter: {
      Arguments arguments = expect(3, 3);
      arguments.tensor(0);
      arguments.boolean(1);
      arguments.no_hooks(2);
      return arguments[0];
    }
    case What::Storage:
    case What::TensorType:
    case What::DType: break;
  }
  corrupt("the pickle calls " + global.name + ", which is a type and not a function");
}

}  // namespace visiontorch::checkpoint
