#pragma once

#include <napi.h>

#include <string>

#include "checkpoint/value.h"

namespace visiontorch::binding {

// Converts a CheckpointValue (lib/native/native.ts) to a Value and copies its tensors. Throws ERR_INVALID_ARGUMENT,
// naming the place in the value, for anything that a checkpoint cannot hold.
checkpoint::Value from_js(Napi::Value value);

enum class TensorMemory {
  Copy,      // JavaScript gets a copy
  HandOver,  // JavaScript gets the memory itself; only for contiguous tensors that nothing else uses
};

// Converts a Value to a CheckpointValue: dictionaries become Maps, lists and tuples arrays, tensors TensorData.
Napi::Value to_js(Napi::Env env, const checkpoint::Value& value, TensorMemory memory = TensorMemory::Copy);

// Converts a string of a Value, in which lone surrogates keep their three bytes.
Napi::String string_to_js(Napi::Env env, const std::string& text);

}  // namespace visiontorch::binding
