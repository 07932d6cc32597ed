// ProcessGroupGloo.hpp includes five headers of Gloo, which LibTorch does not ship. These declare the names that it
// uses, so that it compiles. Gloo itself is part of libtorch_cpu.so, and only c10d calls it.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace transport {
class Device;
class UnboundBuffer;
}  // namespace transport

}  // namespace gloo
