#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "checkpoint/file.h"

namespace visiontorch::binding {

// Returns the file of a NativeCheckpoint. Throws ERR_INVALID_ARGUMENT for any other value, and ERR_DISPOSED after
// dispose().
std::shared_ptr<checkpoint::File> unwrap_checkpoint(Napi::Value value);

// Parses the argument `container` of lib/native/native.ts; undefined means zip.
checkpoint::Container container_from(Napi::Value value);
// Parses the argument `dtype`; returns nothing for undefined.
std::optional<at::ScalarType> weights_dtype_from(Napi::Value value);

}  // namespace visiontorch::binding
