#include <immintrin.h>

#include "kernels/kernels.inc"

namespace visiontorch::kernels {

const Table kAvx512Bf16 = {"AVX512_BF16",
                           kLanes,
                           layout,
                           tile_rows,
                           multiply<float, float>,
                           winograd<float>,
                           depthwise<float>,
                           combine<float>,
                           winograd_inputs,
                           winograd_gradients,
                           accumulate,
                           multiply<BFloat16, BFloat16>,
                           multiply<BFloat16, float>,
                           multiply<float, BFloat16>,
                           winograd<BFloat16>,
                           depthwise<BFloat16>,
                           combine<BFloat16>};

}  // namespace visiontorch::kernels
