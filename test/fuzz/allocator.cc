// Replaces native/runtime/allocator.cc, so that code that reads weights also uses PatternAllocator, whose bounds ASan
// knows.
#include "runtime/allocator.h"

#include <c10/core/CPUAllocator.h>

namespace visiontorch {

UsualPages::UsualPages() = default;
UsualPages::~UsualPages() = default;
c10::Allocator& UsualPages::allocator() { return *c10::GetCPUAllocator(); }

void take_pages(void*, size_t) {}

}  // namespace visiontorch
