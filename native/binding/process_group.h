#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>

#include "distributed/process_group.h"

namespace visiontorch::binding {

// The group of a NativeProcessGroup of JavaScript.
std::shared_ptr<distributed::ProcessGroup> unwrap_group(Napi::Value value);

// A copy of a Float64Array.
at::Tensor numbers_from(Napi::Value value);
Napi::Value to_numbers(Napi::Env env, const at::Tensor& numbers);

}  // namespace visiontorch::binding
