#pragma once

#include <c10/core/Allocator.h>

namespace visiontorch {

// Makes LibTorch take its CPU memory from an allocator that keeps freed blocks and reuses them. On virtual machines,
// page faults are expensive, and the activations of a step take hundreds of megabytes: returning them to the system and
// taking them back would cost more than the step's computation. The memory is in pages of 2 MB, which fault once
// instead of 512 times and use fewer TLB entries.
void install_cpu_allocator();

// A scope for packing weights that a first prediction waits for. While an object exists on a thread, allocator()
// returns memory in pages of the usual size on that thread, because a virtual machine may have to ask its host for each
// large page. In the end, it asks the system to join these to large pages in the background.
class UsualPages {
 public:
  UsualPages();
  ~UsualPages();
  UsualPages(const UsualPages&) = delete;
  UsualPages& operator=(const UsualPages&) = delete;

  static c10::Allocator& allocator();
};

// Takes all pages of memory that is about to be written from the system in one call, which costs less than a fault per
// page.
void take_pages(void* memory, size_t size);

// Returns memory that no tensor uses to the system, except for 256 MiB that the next computation will need. Call it
// when nothing has been computed for a while.
void return_idle_memory();

}  // namespace visiontorch
