// In place of native/runtime/allocator.cc: what reads weights takes the memory of PatternAllocator, too, whose bounds
// ASan knows.
#include "runtime/allocator.h"

#include <c10/core/CPUAllocator.h>

namespace visiontorch {

UsualPages::UsualPages() = default;
UsualPages::~UsualPages() = default;
c10::Allocator& UsualPages::allocator() { return *c10::GetCPUAllocator(); }

void take_pages(void*, size_t) {}

}  // namespace visiontorch
