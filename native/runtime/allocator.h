#pragma once

namespace visiontorch {

// Makes LibTorch take its CPU memory from an allocator that keeps freed blocks and reuses them. On virtual machines a
// page fault is dear, and the activations of a step are hundreds of megabytes: returning them to the system and taking
// them back costs more than the step computes.
void install_cpu_allocator();

}  // namespace visiontorch
