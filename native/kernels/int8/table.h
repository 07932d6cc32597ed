#pragma once

#include "kernels/int8/bytewise_kernel.h"
#include "kernels/int8/depthwise_kernel.h"
#include "kernels/int8/gemm_kernel.h"

namespace visiontorch::kernels {

namespace {

constexpr Int8Kernels int8_table_of(const char* name) {
  return {.name = name,
          .lanes = kLanes,
          .weight_size = sizeof(ByteStep::Weight),
          .shift = kByteShift,
          .layout = layout,
          .tile_rows = tile_rows,
          .widen = sizeof(ByteStep::Value) > 1 ? widen_bytes : nullptr,
          .pack = pack_bytes,
          .gemm = int8_gemm<std::uint8_t>,
          .gemm_to_float = int8_gemm<float>,
          .depthwise = int8_depthwise<std::uint8_t>,
          .depthwise_to_float = int8_depthwise<float>,
          .max_pool_row = max_pool_bytes,
          .quantize = quantize,
          .quantize_scaled = quantize_scaled,
          .round = round_to_bytes};
}

}  // namespace

}  // namespace visiontorch::kernels
