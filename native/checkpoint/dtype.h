#pragma once

#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

namespace visiontorch::checkpoint {

// The element types that checkpoints may contain: PyTorch's name, and the stem of the names of its storage and tensor
// classes ("FloatStorage", "FloatTensor"). Newer types have no such classes and use untyped storages.
struct DType {
  at::ScalarType type;
  std::string_view name;
  std::string_view stem = {};
};

inline constexpr DType kDTypes[] = {
    {at::kDouble, "float64", "Double"},
    {at::kFloat, "float32", "Float"},
    {at::kHalf, "float16", "Half"},
    {at::kBFloat16, "bfloat16", "BFloat16"},
    {at::kLong, "int64", "Long"},
    {at::kInt, "int32", "Int"},
    {at::kShort, "int16", "Short"},
    {at::kChar, "int8", "Char"},
    {at::kByte, "uint8", "Byte"},
    {at::kBool, "bool", "Bool"},
    {at::kComplexDouble, "complex128", "ComplexDouble"},
    {at::kComplexFloat, "complex64", "ComplexFloat"},
    {at::kComplexHalf, "complex32"},
    {at::kUInt64, "uint64"},
    {at::kUInt32, "uint32"},
    {at::kUInt16, "uint16"},
    {at::kFloat8_e5m2, "float8_e5m2"},
    {at::kFloat8_e4m3fn, "float8_e4m3fn"},
    {at::kFloat8_e5m2fnuz, "float8_e5m2fnuz"},
    {at::kFloat8_e4m3fnuz, "float8_e4m3fnuz"},
    {at::kFloat8_e8m0fnu, "float8_e8m0fnu"},
    {at::kFloat4_e2m1fn_x2, "float4_e2m1fn_x2"},
    {at::kBits8, "bits8"},
    {at::kBits16, "bits16"},
    {at::kBits1x8, "bits1x8"},
    {at::kBits2x4, "bits2x4"},
    {at::kBits4x2, "bits4x2"},
    {at::kUInt1, "uint1"},
    {at::kUInt2, "uint2"},
    {at::kUInt3, "uint3"},
    {at::kUInt4, "uint4"},
    {at::kUInt5, "uint5"},
    {at::kUInt6, "uint6"},
    {at::kUInt7, "uint7"},
    {at::kInt1, "int1"},
    {at::kInt2, "int2"},
    {at::kInt3, "int3"},
    {at::kInt4, "int4"},
    {at::kInt5, "int5"},
    {at::kInt6, "int6"},
    {at::kInt7, "int7"},
};

// The types of quantized tensors. Their data is read as plain integers.
inline constexpr DType kQuantized[] = {
    {at::kQInt8, "qint8", "QInt8"},          {at::kQUInt8, "quint8", "QUInt8"},       {at::kQInt32, "qint32", "QInt32"},
    {at::kQUInt4x2, "quint4x2", "QUInt4x2"}, {at::kQUInt2x4, "quint2x4", "QUInt2x4"},
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
