#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace visiontorch::distributed {

struct GroupOptions {
  int rank, size;
  std::string address;  // of the machine on which rank 0 runs
  uint16_t port;
  std::chrono::milliseconds timeout;  // of joining, and of each operation
  bool hosts_store = true;            // rank 0 serves the store; false if the launcher does
  std::string prefix;                 // of the store's keys: another one for each attempt and each group

  std::string place() const { return address + ":" + std::to_string(port); }
};

}  // namespace visiontorch::distributed
