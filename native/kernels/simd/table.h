#pragma once

#include "kernels/attention/attention_kernel.h"
#include "kernels/attention/gradient_kernel.h"
#include "kernels/batch_norm/batch_norm_kernel.h"
#include "kernels/depthwise/depthwise_kernel.h"
#include "kernels/depthwise/training_kernel.h"
#include "kernels/elementwise/elementwise_kernel.h"
#include "kernels/gemm/gemm_tn_kernel.h"
#include "kernels/gemm/indirect_gemm_kernel.h"
#include "kernels/gemm/linear_kernel.h"
#include "kernels/gemm/packing_kernel.h"
#include "kernels/gemm/transpose_kernel.h"
#include "kernels/grouped/grouped_kernel.h"
#include "kernels/kernels.h"
#include "kernels/layer_norm/layer_norm_kernel.h"
#include "kernels/pooling/pooling_kernel.h"
#include "kernels/preactivation/preactivation_kernel.h"
#include "kernels/winograd/gradient_kernel.h"
#include "kernels/winograd/packing_kernel.h"
#include "kernels/winograd/winograd_kernel.h"

namespace visiontorch::kernels {

namespace {

// The kernels for the instruction set for which the including file is compiled.

template <class T>
constexpr Kernels<T> kKernels = {.gemm = indirect_gemm<T, T>,
                                 .gemm_to_float = indirect_gemm<T, float>,
                                 .gemm_from_float = indirect_gemm<float, T>,
                                 .linear = linear<T>,
                                 .combine = combine<T>,
                                 .gemm_tn = gemm_tn<T>,
                                 .winograd = winograd<T, float>,
                                 .winograd_in_type = winograd<T, T>,
                                 .winograd_inputs = winograd_inputs<T>,
                                 .winograd_gradients = winograd_gradients<T>,
                                 .depthwise = depthwise<T>,
                                 .depthwise_training = depthwise_training<T>,
                                 .depthwise_gradients = depthwise_gradients<T>,
                                 .attention = attention<T>,
                                 .layer_norm = layer_norm<T>,
                                 .preactivate = preactivate<T>,
                                 .max_pool_row = max_pool_row<T>,
                                 .pixel_mean = pixel_mean<T>,
                                 .scale_pixels = scale_pixels<T>,
                                 .batch_norm_sums = batch_norm_sums<T>,
                                 .batch_norm = batch_norm<T>,
                                 .batch_norm_gradient_sums = batch_norm_gradient_sums<T>,
                                 .batch_norm_gradient = batch_norm_gradient<T>};

constexpr Table table_of(const char* name) {
  return {.name = name,
          .lanes = kLanes,
          .layout = layout,
          .tile_rows = tile_rows,
          .attention_scratch = attention_scratch,
          .attention_gradient_scratch = attention_gradient_scratch,
          .attention_gradient = attention_gradient,
          .grouped = grouped,
          .bias_gelu = bias_gelu,
          .bias_gelu_gradient = bias_gelu_gradient,
          .scaled_sum = scaled_sum,
          .scaled_sum_gradient = scaled_sum_gradient,
          .transpose = transpose,
          .pair_up = pair_up,
          .add_parts = add_parts,
          .winograd_filters = winograd_filters,
          .winograd_filter_gradients = winograd_filter_gradients,
          .float32 = kKernels<float>,
#if defined(VISIONTORCH_BFLOAT16_KERNELS)
          .bfloat16 = kKernels<BFloat16>
#endif
  };
}

}  // namespace

}  // namespace visiontorch::kernels
