#pragma once

#include <c10/util/Exception.h>

namespace visiontorch {

// While it exists, drops LibTorch's warnings on this thread, which would reach the user's stderr.
class WarningsDropped {
 public:
  WarningsDropped();

 private:
  c10::WarningUtils::WarningHandlerGuard guard_;
};

// Makes LibTorch's settings for the compute thread: no warnings, no NNPACK (which warns in every call on a CPU that it
// does not know), and no cuDNN algorithms that add in an arbitrary order.
void configure_libtorch();

}  // namespace visiontorch
