#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "checkpoint/dtype.h"

// The safetensors format (https://github.com/huggingface/safetensors#format): the length of the header as 8 bytes,
// little-endian; the header, a JSON object that maps each tensor's name to {"dtype", "shape", "data_offsets"}; the
// tensors' data, without gaps. The header may have "__metadata__", an object of strings.

namespace visiontorch::checkpoint {

inline constexpr std::string_view kMetadata = "__metadata__";

// The Python library's limit.
inline constexpr uint64_t kLongestHeader = 100'000'000;

inline constexpr std::array<std::pair<std::string_view, at::ScalarType>, 19> kSafetensorsTypes = {{
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U64", at::kUInt64},
    {"U32", at::kUInt32},
    {"U16", at::kUInt16},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
    {"C64", at::kComplexFloat},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
    {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
    {"F8_E8M0", at::kFloat8_e8m0fnu},
}};

}  // namespace visiontorch::checkpoint
