#pragma once

#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

namespace visiontorch::checkpoint {

// The element types that checkpoints may hold: PyTorch's name, and the stem of the class of its storages and of its
// tensors ("FloatStorage", "FloatTensor").
struct DType {
  at::ScalarType type;
  std::string_view name;
  std::string_view stem;
};

inline constexpr DType kDTypes[] = {
    {at::kDouble, "float64", "Double"}, {at::kFloat, "float32", "Float"},
    {at::kHalf, "float16", "Half"},     {at::kBFloat16, "bfloat16", "BFloat16"},
    {at::kLong, "int64", "Long"},       {at::kInt, "int32", "Int"},
    {at::kShort, "int16", "Short"},     {at::kChar, "int8", "Char"},
    {at::kByte, "uint8", "Byte"},       {at::kBool, "bool", "Bool"},
};

inline const DType* find_dtype(at::ScalarType type) {
  for (const DType& dtype : kDTypes)
    if (dtype.type == type) return &dtype;
  return nullptr;
}

inline const DType* find_dtype(std::string_view name) {
  for (const DType& dtype : kDTypes)
    if (dtype.name == name) return &dtype;
  return nullptr;
}

}  // namespace visiontorch::checkpoint
