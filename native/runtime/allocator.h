#pragma once

namespace visiontorch {

// Makes LibTorch take its CPU memory from an allocator that keeps freed blocks and reuses them. On virtual machines a
// page fault is dear, and the activations of a step are hundreds of megabytes: returning them to the system and taking
// them back costs more than the step computes.
void install_cpu_allocator();

// Gives back to the system what no tensor uses, but for 256 MiB that the next computation will want: to be called when
// nothing has been computed for a while.
void return_idle_memory();

}  // namespace visiontorch
