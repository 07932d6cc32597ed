#pragma once

namespace visiontorch {

// LibTorch's settings for the compute thread: no warnings on the user's stderr (the handler belongs to a thread), no
// NNPACK (it warns at every call on a CPU that it does not know), no algorithms of cuDNN that add up in any order.
void configure_libtorch();

}  // namespace visiontorch
