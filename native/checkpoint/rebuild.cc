#include "checkpoint/rebuild.h"

#include <ATen/ops/empty.h>

namespace visiontorch::checkpoint {

namespace {

// Makes a TensorSpec with the sizes and strides of an image batch.
constexpr uint64_t kTensor = 192;

Value tensor_in(const Arguments& arguments, Arena& arena, at::ScalarType dtype) {
  arena.budget().charge(kTensor);
  return Storages::tensor(arguments.storage(0), dtype, arguments.integer(1), arguments.integers(2),
                          arguments.integers(3));
}

at::ScalarType dtype_of(const Arguments& arguments) {
  const StorageRef& storage = arguments.storage(0);
  if (!storage.dtype) arguments.wrong();
  return *storage.dtype;
}

// Reads the last argument of _rebuild_tensor_v2 and _v3: the flags of lazily conjugated and negated tensors.
void set_flags(const Value& tensor, const Arguments& arguments, size_t i) {
  if (arguments.size() <= i || arguments[i].kind() == Value::Kind::None) return;
  if (!arguments[i].is_dict()) arguments.wrong();
  auto is_set = [&](const char* flag) {
    const Value* value = arguments[i].find(flag);
    return value != nullptr && value->kind() == Value::Kind::Bool && value->as_bool();
  };
  auto* spec = tensor.as_opaque<TensorSpec>();
  spec->is_conjugated = is_set("conj");
  spec->is_negated = is_set("neg");
}

// Returns a dtype or a class as a string.
Value name_of(const Global& global) { return Value(global.name); }

}  // namespace

Value make_dict(Arena& arena, std::initializer_list<std::pair<std::string_view, Value>> items) {
  Value result = arena.dict();
  arena.budget().charge(items.size() * (2 * sizeof(Value) + 64));
  for (const auto& [key, value] : items) result.as_dict().emplace_back(Value(key), value);
  return result;
}

Value empty_tensor(at::ScalarType dtype, Arena& arena) {
  arena.budget().charge(2 * kTensor);
  return Storages::tensor(at::empty({0}, dtype));
}

void set_tensor(TensorSpec& tensor, const Value& state) {
  if (state.kind() != Value::Kind::Tuple) corrupt("the state of a tensor is not a tuple");
  Arguments arguments("torch.Tensor.__setstate__", state.as_list(), 3, 5);
  if (state.as_list().size() == 3) return;  // requires_grad and hooks
  if (state.as_list().size() == 5)          // torch.autograd.Variable of torch 0.1: (data, ...)
    tensor = arguments.tensor(0);
  else
    tensor = *Storages::tensor(arguments.storage(0), dtype_of(arguments), arguments.integer(1), arguments.integers(2),
                               arguments.integers(3));
}

Value rebuild_tensor(const Arguments& arguments, Arena& arena) {
  Value tensor = tensor_in(arguments, arena, dtype_of(arguments));
  set_flags(tensor, arguments, 6);
  return tensor;
}

Value rebuild_tensor_v3(const Arguments& arguments, Arena& arena) {
  Value tensor = tensor_in(arguments, arena, arguments.dtype(6));
  set_flags(tensor, arguments, 7);
  return tensor;
}

Value rebuild_parameter(const Arguments& arguments, Arena&) {
  if (!arguments[0].is_dict()) arguments.tensor(0);  // checks the type; special tensors are dictionaries
  return arguments[0];
}

// (data, dtype, device, requires_grad). The data has another type if NumPy or the CPU lacks the device's type.
Value rebuild_device_tensor(const Arguments& arguments, Arena& arena) {
  arena.budget().charge(kTensor);
  auto tensor = c10::make_intrusive<TensorSpec>(arguments.tensor(0));
  tensor->dtype = arguments.dtype(1);
  return tensor;
}

Value rebuild_quantized_tensor(const Arguments& arguments, Arena& arena) {
  const StorageRef& storage = arguments.storage(0);
  const DType* dtype = nullptr;
  for (const DType& known : kQuantized)
    if (storage.dtype == known.type) dtype = &known;
  const Value::List& quantizer = arguments.list(4);
  if (dtype == nullptr || quantizer.size() < 3) arguments.wrong();
  // A byte of these types holds several elements, so sizes and strides do not count bytes.
  bool is_packed = dtype->type == at::kQUInt4x2 || dtype->type == at::kQUInt2x4;
  at::ScalarType integers = c10::toUnderlying(dtype->type);
  arena.budget().charge(kTensor);
  StorageRef data(storage);
  data.dtype = integers;
  auto tensor =
      is_packed ? Storages::tensor(data, integers, 0, {storage.numel}, {1})
                : Storages::tensor(data, integers, arguments.integer(1), arguments.integers(2), arguments.integers(3));
  bool is_per_tensor = quantizer.size() == 3;
  // torch.save writes both per-channel schemes as one, and torch.load tells them apart by the type of the zero points.
  auto* zero_points = quantizer[2].as_opaque<TensorSpec>();
  bool is_float = zero_points != nullptr && c10::isFloatingType(zero_points->dtype);
  Value scheme = is_float ? Value("torch.per_channel_affine_float_qparams") : quantizer[0];
  Value result = make_dict(arena, {{"type", "quantized"},
                                   {"dtype", Value("torch." + std::string(dtype->name))},
                                   {"shape", arguments[2]},
                                   {"data", Value(std::move(tensor))},
                                   {"scheme", scheme}});
  Value::Dict& items = result.as_dict();
  items.emplace_back(is_per_tensor ? "scale" : "scales", quantizer[1]);
  items.emplace_back(is_per_tensor ? "zero_point" : "zero_points", quantizer[2]);
  if (!is_per_tensor) items.emplace_back("axis", quantizer[3]);
  return result;
}

Value sparse_coo(const Arguments& arguments, Arena& arena) {
  return make_dict(arena, {{"type", "sparse"},
                           {"layout", "torch.sparse_coo"},
                           {"shape", arguments[2]},
                           {"indices", arguments[0]},
                           {"values", arguments[1]}});
}

// (layout, parts)
Value rebuild_sparse_tensor(const Arguments& arguments, Arena& arena) {
  bool is_coo = arguments.string(0) == "torch.sparse_coo";
  Arguments parts("torch._utils._rebuild_sparse_tensor", arguments.list(1), is_coo ? 3 : 4, 4);
  if (is_coo) return sparse_coo(parts, arena);
  return make_dict(arena, {{"type", "sparse"},
                           {"layout", arguments[0]},
                           {"shape", parts[3]},
                           {"compressed_indices", parts[0]},
                           {"plain_indices", parts[1]},
                           {"values", parts[2]}});
}

Value rebuild_nested_tensor(const Arguments& arguments, Arena& arena) {
  return make_dict(arena, {{"type", "nested"},
                           {"buffer", arguments[0]},
                           {"sizes", arguments[1]},
                           {"strides", arguments[2]},
                           {"offsets", arguments[3]}});
}

Value rebuild_meta_tensor(const Arguments& arguments, Arena& arena) {
  arguments.dtype(0);  // checks the type
  return make_dict(
      arena,
      {{"type", "meta"}, {"dtype", name_of(arguments.global(0))}, {"shape", arguments[1]}, {"strides", arguments[2]}});
}

// (class, dtype, size, stride, offset, layout, device, requires_grad)
Value rebuild_wrapper(const Arguments& arguments, Arena& arena) {
  arguments.dtype(1);
  return make_dict(arena, {{"type", "wrapper"},
                           {"class", name_of(arguments.global(0))},
                           {"dtype", name_of(arguments.global(1))},
                           {"shape", arguments[2]},
                           {"strides", arguments[3]}});
}

}  // namespace visiontorch::checkpoint
