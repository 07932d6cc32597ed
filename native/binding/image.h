#pragma once

#include <napi.h>

#include <memory>

#include "image/batch.h"

namespace visiontorch::binding {

// The batch behind a JavaScript ImageBatch; throws where `value` is something else.
std::shared_ptr<image::ImageBatch> unwrap_batch(Napi::Value value);

}  // namespace visiontorch::binding
