#pragma once

#include <string>

namespace visiontorch {

// Describes the LibTorch that this process really uses, according to its own library: this addon may have been compiled
// with the headers of another version.
std::string libtorch_version();

// The path of libtorch_cpu.so.
std::string libtorch_path();

}  // namespace visiontorch
