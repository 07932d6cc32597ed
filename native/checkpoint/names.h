#pragma once

#include <string_view>

// Parts of the names of a state dict's tensors that have a meaning of their own.

namespace visiontorch::checkpoint {

// The last part of a name: "weight".
inline std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

inline constexpr std::string_view kCounter = "num_batches_tracked";
// A constant of windowed attention, which some programs store as a matrix, others flat, and timm not at all.
inline constexpr std::string_view kPositionIndex = "relative_position_index";

}  // namespace visiontorch::checkpoint
