#pragma once

#include "checkpoint/arguments.h"

// NumPy's scalars and arrays, as its pickles describe them. Numbers come as numbers, arrays of numbers as tensors.

namespace visiontorch::checkpoint {

// numpy.dtype('<f4'). An element type that is no number of PyTorch's has no `type`.
struct NumpyDType : Object {
  std::optional<at::ScalarType> type_of_elements;
  bool is_big_endian = false;
};

Value numpy_dtype(const Arguments& arguments, Arena& arena);
// BUILD of a dtype: (version, byte order, ...).
void set_byte_order(NumpyDType& dtype, const Value& state);
// numpy.core.multiarray.scalar(dtype, bytes)
Value numpy_scalar(const Arguments& arguments, Arena& arena);
// BUILD of an array: (version, shape, dtype, is_fortran, bytes). None if its elements are no numbers.
Value numpy_array(const Value& state, Arena& arena);
// numpy.core.numeric._frombuffer(bytes, dtype, shape, order): arrays in protocol 5.
Value numpy_from_buffer(const Arguments& arguments, Arena& arena);

}  // namespace visiontorch::checkpoint
