#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>

#include "distributed/process_group.h"

namespace visiontorch::binding {

// Returns the group behind a JavaScript NativeProcessGroup.
std::shared_ptr<distributed::ProcessGroup> unwrap_group(Napi::Value value);

// Copies a Float64Array.
at::Tensor numbers_from(Napi::Value value);
Napi::Value to_numbers(Napi::Env env, const at::Tensor& numbers);

}  // namespace visiontorch::binding
