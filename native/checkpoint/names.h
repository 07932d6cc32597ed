#pragma once

#include <string_view>

// Parts of the names of tensors in a state dict that have a special meaning.

namespace visiontorch::checkpoint {

// Returns the last part of a name: "weight".
inline std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

inline constexpr std::string_view kCounter = "num_batches_tracked";
// A constant of windowed attention. Some programs store it as a matrix, others as a vector, and timm not at all.
inline constexpr std::string_view kPositionIndex = "relative_position_index";

}  // namespace visiontorch::checkpoint
