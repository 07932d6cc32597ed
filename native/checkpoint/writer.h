#pragma once

#include <c10/core/ScalarType.h>

#include "checkpoint/containers.h"
#include "checkpoint/output.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Writes `value` into an empty file. torch.load(weights_only=True) can read zip and legacy files. For a safetensors
// file, `value` must be a dictionary of tensors by name, which may have a dictionary of strings under '__metadata__'.
// Throws ERR_FILE_WRITE with only the reason, because the caller knows the path, and ERR_INVALID_ARGUMENT for a value
// that the container cannot hold.
void write(const Descriptor& file, const Value& value, Container container = Container::Zip);

// Converts a value's floating-point tensors to a type. Throws ERR_NON_FINITE if a finite number is too large for the
// type.
Value converted(const Value& value, at::ScalarType dtype);

}  // namespace visiontorch::checkpoint
