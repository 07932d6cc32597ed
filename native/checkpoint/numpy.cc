#include "checkpoint/numpy.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

#include "checkpoint/rebuild.h"

namespace visiontorch::checkpoint {

namespace {

constexpr std::pair<std::string_view, at::ScalarType> kTypes[] = {
    {"b1", at::kBool},         {"i1", at::kChar},           {"i2", at::kShort},  {"i4", at::kInt},
    {"i8", at::kLong},         {"u1", at::kByte},           {"u2", at::kUInt16}, {"u4", at::kUInt32},
    {"u8", at::kUInt64},       {"f2", at::kHalf},           {"f4", at::kFloat},  {"f8", at::kDouble},
    {"c8", at::kComplexFloat}, {"c16", at::kComplexDouble},
};

// Returns the bytes in the processor's order, as a tensor with one dimension.
at::Tensor read_elements(const NumpyDType& dtype, const at::Tensor& bytes, Arena& arena) {
  at::ScalarType type = *dtype.type_of_elements;
  auto itemsize = static_cast<int64_t>(c10::elementSize(type));
  if (bytes.numel() % itemsize != 0) corrupt("a NumPy array ends inside an element");
  arena.budget().charge(256 + static_cast<uint64_t>(bytes.numel()));
  at::Tensor elements = at::empty({bytes.numel() / itemsize}, type);
  char* data = static_cast<char*>(elements.data_ptr());
  std::copy_n(static_cast<const char*>(bytes.data_ptr()), bytes.numel(), data);
  if (dtype.is_big_endian) swap_bytes(data, static_cast<size_t>(bytes.numel()), type);
  return elements;
}

Value make_array(const Value& shape, const Value& dtype, bool is_fortran, const Value& bytes, Arena& arena) {
  auto* type = dtype.as_opaque<NumpyDType>();
  if (type == nullptr || !type->type_of_elements || bytes.kind() != Value::Kind::Bytes) return {};
  Value::List fields{shape};
  Arguments arguments("numpy.ndarray", fields, 1, 1);
  std::vector<int64_t> sizes = arguments.integers(0), strides(sizes.size());
  int64_t numel = 1;
  for (size_t i = 0; i < sizes.size(); i++) {
    size_t at = is_fortran ? i : sizes.size() - 1 - i;
    strides[at] = numel;
    numel = checked_mul(numel, sizes[at], "the size of a NumPy array");
  }
  at::Tensor elements = read_elements(*type, bytes.as_bytes().data, arena);
  if (elements.numel() != numel) corrupt("the size of a NumPy array does not match its shape");
  auto tensor = Storages::tensor(std::move(elements));
  tensor->sizes = std::move(sizes);
  tensor->strides = std::move(strides);
  return tensor;
}

}  // namespace

Value numpy_dtype(const Arguments& arguments, Arena& arena) {
  auto dtype = c10::make_intrusive<NumpyDType>();
  dtype->type = c10::make_intrusive<Global>();
  dtype->type->name = "numpy.dtype";
  arena.budget().charge(512);
  std::string_view name = arguments.string(0);
  if (name.starts_with('<') || name.starts_with('>') || name.starts_with('|')) {
    dtype->is_big_endian = name.starts_with('>');
    name.remove_prefix(1);
  }
  for (const auto& [known, type] : kTypes)
    if (known == name) dtype->type_of_elements = type;
  return dtype;
}

void set_byte_order(NumpyDType& dtype, const Value& state) {
  if (state.kind() != Value::Kind::Tuple || state.as_list().size() < 2) corrupt("wrong state for numpy.dtype");
  const Value& order = state.as_list()[1];
  dtype.is_big_endian = order.kind() == Value::Kind::String && order.as_string() == ">";
}

Value numpy_scalar(const Arguments& arguments, Arena& arena) {
  auto* dtype = arguments[0].as_opaque<NumpyDType>();
  if (dtype == nullptr) arguments.wrong();
  if (!dtype->type_of_elements || arguments.size() < 2 || arguments[1].kind() != Value::Kind::Bytes)
    return arguments[0];  // skipped, like the dtype
  at::Tensor number = read_elements(*dtype, arguments[1].as_bytes().data, arena);
  if (number.numel() != 1) arguments.wrong();
  switch (number.scalar_type()) {
    case at::kBool: return number.item<bool>();
    case at::kHalf:
    case at::kFloat:
    case at::kDouble: return number.item<double>();
    case at::kComplexFloat:
    case at::kComplexDouble: {
      auto value = number.item<c10::complex<double>>();
      return make_dict(arena, {{"real", value.real()}, {"imag", value.imag()}});
    }
    case at::kUInt64:
      if (auto value = static_cast<const uint64_t*>(number.data_ptr())[0]; value >> 63 != 0)
        return Value::big_int(std::string(reinterpret_cast<const char*>(&value), sizeof value) + '\0');
      [[fallthrough]];
    default: return number.item<int64_t>();
  }
}

Value numpy_array(const Value& state, Arena& arena) {
  if (state.kind() != Value::Kind::Tuple) corrupt("wrong state for numpy.ndarray");
  Arguments parts("numpy.ndarray.__setstate__", state.as_list(), 5, 5);
  bool is_fortran = parts[3].kind() == Value::Kind::Bool ? parts[3].as_bool() : parts.integer(3) != 0;
  return make_array(parts[1], parts[2], is_fortran, parts[4], arena);
}

Value numpy_from_buffer(const Arguments& arguments, Arena& arena) {
  Value array = make_array(arguments[2], arguments[1], arguments.string(3) == "F", arguments[0], arena);
  return array.kind() == Value::Kind::None ? arguments[1] : array;
}

}  // namespace visiontorch::checkpoint
