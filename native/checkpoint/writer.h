#pragma once

#include <c10/core/ScalarType.h>

#include "checkpoint/containers.h"
#include "checkpoint/output.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Writes `value` into an empty file. Zip and legacy files are what torch.load(weights_only=True) reads. A safetensors
// file holds a dictionary of tensors by name, which may have, under '__metadata__', a dictionary of strings. Throws
// ERR_FILE_WRITE with the reason alone, because the caller knows the path, and ERR_INVALID_ARGUMENT for a value that
// the container cannot hold.
void write(const Descriptor& file, const Value& value, Container container = Container::Zip);

// The value with its floating-point tensors converted to a type. Throws ERR_NON_FINITE if a finite number is too large
// for the type.
Value converted(const Value& value, at::ScalarType dtype);

}  // namespace visiontorch::checkpoint
