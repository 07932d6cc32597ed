#pragma once

#include <cstdint>
#include <string>

namespace visiontorch::distributed {

// The numeric address of this machine from which it reaches another one, or "" if the name cannot be resolved. Sends
// nothing.
std::string local_address_towards(const std::string& host, uint16_t port);

}  // namespace visiontorch::distributed
