#pragma once

#include <napi.h>

#include <memory>

#include "checkpoint/file.h"

namespace visiontorch::binding {

// The file of a NativeCheckpoint. Throws ERR_INVALID_ARGUMENT for any other value, ERR_DISPOSED after dispose().
std::shared_ptr<checkpoint::File> unwrap_checkpoint(Napi::Value value);

}  // namespace visiontorch::binding
