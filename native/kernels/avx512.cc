#include <immintrin.h>

#include "kernels/kernels.inc"

namespace visiontorch::kernels {

const Table kAvx512 = {"AVX512",        kLanes,           layout,         tile_rows,       multiply<float, float>,
                       winograd<float>, depthwise<float>, combine<float>, winograd_inputs, winograd_gradients,
                       accumulate};

}  // namespace visiontorch::kernels
