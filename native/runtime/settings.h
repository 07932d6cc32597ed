#pragma once

#include <c10/util/Exception.h>

namespace visiontorch {

// Drops LibTorch's warnings, which would reach the user's stderr, on this thread for as long as it lives.
class WarningsDropped {
 public:
  WarningsDropped();

 private:
  c10::WarningUtils::WarningHandlerGuard guard_;
};

// LibTorch's settings for the compute thread: no warnings, no NNPACK (it warns at every call on a CPU that it does not
// know), no algorithms of cuDNN that add up in any order.
void configure_libtorch();

}  // namespace visiontorch
