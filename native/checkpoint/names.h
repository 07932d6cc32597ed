#pragma once

#include <string_view>

// Parts of the names of tensors in a state dict that have a special meaning.

namespace visiontorch::checkpoint {

// Returns the last part of a name: "weight".
inline std::string_view last_part(std::string_view name) { return name.substr(name.rfind('.') + 1); }

inline constexpr std::string_view kCounter = "num_batches_tracked";
// Constants of windowed attention, which timm does not store. Some programs store the index as a matrix, others as a
// vector.
inline constexpr std::string_view kPositionIndex = "relative_position_index";
inline constexpr std::string_view kCoordinates = "relative_coords_table";
inline bool is_constant(std::string_view name) {
  return last_part(name) == kPositionIndex || last_part(name) == kCoordinates;
}

}  // namespace visiontorch::checkpoint
