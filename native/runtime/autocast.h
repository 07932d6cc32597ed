#pragma once

#include <ATen/autocast_mode.h>

#include "runtime/cpu_features.h"

namespace visiontorch {

// Returns the type to compute in when `wanted` is requested. On a processor that cannot multiply bfloat16, LibTorch
// takes ten to fifty times as long for it as for float32. float16 is for GPUs.
inline at::ScalarType compute_type(c10::DeviceType device, at::ScalarType wanted) {
  if (device != c10::DeviceType::CPU) return wanted;
  return wanted == at::kBFloat16 && cpu_features().avx512_bf16 ? at::kBFloat16 : at::kFloat;
}

// PyTorch's autocast for a scope: convolutions and matrix products run in `dtype`. Does nothing for float32.
class AutocastGuard {
 public:
  AutocastGuard(c10::DeviceType device, at::ScalarType dtype)
      : device_(device), enabled_(compute_type(device, dtype) != at::kFloat) {
    if (!enabled_) return;
    at::autocast::set_autocast_dtype(device_, dtype);
    at::autocast::set_autocast_enabled(device_, true);
  }
  ~AutocastGuard() {
    if (!enabled_) return;
    at::autocast::set_autocast_enabled(device_, false);
    at::autocast::clear_cache();
  }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  c10::DeviceType device_;
  bool enabled_;
};

}  // namespace visiontorch
