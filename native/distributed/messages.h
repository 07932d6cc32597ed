#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <vector>

namespace visiontorch::distributed {

// "rank 1" or "ranks 1, 2".
std::string list_of(const std::vector<int>& ranks);

// "300 s" or "1500 ms".
std::string seconds(std::chrono::milliseconds time);

// The first line of what c10d reports, without its stack trace.
std::string reason_of(const std::exception& error);

}  // namespace visiontorch::distributed
