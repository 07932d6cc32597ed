#pragma once

#include <cstdint>
#include <string>

namespace visiontorch::distributed {

// Returns the numeric address from which this machine reaches another one, or "" if the name cannot be resolved. Sends
// nothing.
std::string local_address_towards(const std::string& host, uint16_t port);

}  // namespace visiontorch::distributed
