#include <immintrin.h>

#include "kernels/kernels.inc"

namespace visiontorch::kernels {

const Table kAvx2 = {"AVX2",          kLanes,           layout,         tile_rows,       multiply<float, float>,
                     winograd<float>, depthwise<float>, combine<float>, winograd_inputs, winograd_gradients,
                     accumulate};

}  // namespace visiontorch::kernels
