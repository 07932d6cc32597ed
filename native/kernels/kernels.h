#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/attention/attention.h"
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm/gemm.h"
#include "kernels/grouped/grouped.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/pooling/pooling.h"
#include "kernels/preactivation/preactivation.h"
#include "kernels/types.h"
#include "kernels/winograd/winograd.h"

namespace visiontorch::kernels {

// These kernels compute convolutions, matrix products, attention and norms on plain memory, in float32 and, if the
// processor can multiply it, in bfloat16. Images are stored channels-last: [n, height, width, channels]. Each function
// does a part of the work on the calling thread; the caller manages threads. The same source is compiled for several
// instruction sets: see table().

// The kernels for one type of activations. If T is bfloat16 and the processor cannot multiply it, all are null.
template <class T>
struct Kernels {
  void (*gemm)(const IndirectGemm<T, T>&);
  void (*gemm_to_float)(const IndirectGemm<T, float>&);
  void (*gemm_from_float)(const IndirectGemm<float, T>&);
  void (*linear)(const Linear<T>&);
  void (*combine)(const Combination<T>&);
  void (*gemm_tn)(const GemmTN<T>&, float* scratch);
  void (*winograd)(const WinogradConvolution<T, float>&, const WinogradPart&, float* scratch);
  void (*winograd_in_type)(const WinogradConvolution<T, T>&, const WinogradPart&, float* scratch);
  void (*winograd_inputs)(const WinogradTiles<T>&);
  void (*winograd_gradients)(const WinogradTiles<T>&);
  void (*depthwise)(const Depthwise<T>&);
  void (*depthwise_training)(const DepthwiseTraining<T>&);
  void (*depthwise_gradients)(const DepthwiseTraining<T>&);
  void (*attention)(const Attention<T>&, float* scratch);
  void (*layer_norm)(const LayerNorm<T>&);
  void (*preactivate)(const Preactivation<T>&);
  void (*max_pool_row)(const MaxPoolRow<T>&);
  void (*pixel_mean)(const PixelMean<T>&);
  void (*scale_pixels)(const PixelScaling<T>&);
  void (*batch_norm_sums)(const BatchNormSums<T>&);
  void (*batch_norm)(const BatchNorm<T>&);
  void (*batch_norm_gradient_sums)(const BatchNormGradient<T>&);
  void (*batch_norm_gradient)(const BatchNormGradient<T>&);
};

// One instruction set's kernels.
struct Table {
  const char* name;
  std::int64_t lanes;  // in a vector of float32
  // Returns the widest panels that divide the columns evenly; if possible, their number is a multiple of `parts`.
  Panels (*layout)(std::int64_t rows, std::int64_t columns, std::int64_t parts);
  std::int64_t (*tile_rows)(const Panels&);  // rows that the product computes at a time
  std::int64_t (*attention_scratch)(std::int64_t count, std::int64_t depth);  // in floats
  std::int64_t (*attention_gradient_scratch)(std::int64_t count, std::int64_t depth);
  void (*attention_gradient)(const AttentionGradient&, float* scratch);
  void (*grouped)(const Grouped&, float* scratch);
  void (*bias_gelu)(const BiasGelu&);
  void (*bias_gelu_gradient)(const BiasGeluGradient&);
  void (*scaled_sum)(const ScaledSum&);
  void (*scaled_sum_gradient)(const ScaledSumGradient&);
  void (*transpose)(const Transposition&);
  // Interleaves two consecutive rows of `width` values as pairs of bfloat16, rounded to nearest even.
  void (*pair_up)(const float* rows, std::int64_t width, std::uint32_t* pairs);
  void (*add_parts)(const PartSum&);
  void (*winograd_filters)(const WinogradFilters&);
  void (*winograd_filter_gradients)(const WinogradFilterGradients&);
  Kernels<float> float32;
  Kernels<BFloat16> bfloat16 = {};

  bool has_bfloat16() const { return bfloat16.gemm != nullptr; }
  template <class T>
  const Kernels<T>& of() const {
    if constexpr (std::is_same_v<T, float>) {
      return float32;
    } else {
      return bfloat16;
    }
  }
};

// Returns the best kernels for this processor, or null if there are none, in which case LibTorch's own are used. The
// environment variable VISIONTORCH_KERNELS, which is read once, forces a lower instruction set, for tests and
// benchmarks: "avx512" (without bfloat16) or "avx2" on x86-64, "neon" (without bfloat16) on Arm, or "onednn" for null.
const Table* table();

#if defined(__x86_64__)
extern const Table kAvx2, kAvx512, kAvx512Bf16;
#elif defined(__aarch64__)
extern const Table kNeon, kNeonBf16;
#endif

}  // namespace visiontorch::kernels
