#pragma once

#include <string>

namespace visiontorch {

// The LibTorch that this process is really bound to, as its own library tells: the headers that this addon was
// compiled with may be of another one.
std::string libtorch_version();

// The file of libtorch_cpu.so.
std::string libtorch_path();

}  // namespace visiontorch
