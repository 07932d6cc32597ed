#pragma once

#include <napi.h>

#include <memory>

#include "image/batch.h"

namespace visiontorch::binding {

// Returns the batch behind a JavaScript ImageBatch. Throws ERR_INVALID_ARGUMENT for any other value.
std::shared_ptr<image::ImageBatch> unwrap_batch(Napi::Value value);

}  // namespace visiontorch::binding
