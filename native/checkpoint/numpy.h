#pragma once

#include "checkpoint/arguments.h"

// Reads NumPy's pickled scalars and arrays. Scalars become numbers, numeric arrays become tensors.

namespace visiontorch::checkpoint {

// numpy.dtype('<f4'). `type_of_elements` is unset if PyTorch has no such numbers.
struct NumpyDType : Object {
  std::optional<at::ScalarType> type_of_elements;
  bool is_big_endian = false;
};

Value numpy_dtype(const Arguments& arguments, Arena& arena);
// BUILD of a dtype: (version, byte order, ...).
void set_byte_order(NumpyDType& dtype, const Value& state);
// numpy.core.multiarray.scalar(dtype, bytes)
Value numpy_scalar(const Arguments& arguments, Arena& arena);
// BUILD of an array: (version, shape, dtype, is_fortran, bytes). Returns None if its elements are not numbers.
Value numpy_array(const Value& state, Arena& arena);
// numpy.core.numeric._frombuffer(bytes, dtype, shape, order): arrays in protocol 5.
Value numpy_from_buffer(const Arguments& arguments, Arena& arena);

}  // namespace visiontorch::checkpoint
