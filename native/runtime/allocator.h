#pragma once

#include <c10/core/Allocator.h>

namespace visiontorch {

// Makes LibTorch take its CPU memory from an allocator that keeps freed blocks and reuses them. On virtual machines a
// page fault is dear, and the activations of a step are hundreds of megabytes: returning them to the system and taking
// them back costs more than the step computes.
// Its memory is in pages of 2 MB, which fault once instead of 512 times and spare the processor's tables of addresses.
void install_cpu_allocator();

// For packed weights that a first prediction waits for: while one lives on a thread, allocator() there gives memory in
// pages of the usual size, as a virtual machine may have to ask its host for each large page. In the end, the system is
// asked to join these to large ones, which it does in the background.
class UsualPages {
 public:
  UsualPages();
  ~UsualPages();
  UsualPages(const UsualPages&) = delete;
  UsualPages& operator=(const UsualPages&) = delete;

  static c10::Allocator& allocator();
};

// Takes the pages of memory that is about to be written from the system by one call, which costs less than a fault for
// each page.
void take_pages(void* memory, size_t size);

// Gives back to the system what no tensor uses, but for 256 MiB that the next computation will want: to be called when
// nothing has been computed for a while.
void return_idle_memory();

}  // namespace visiontorch
