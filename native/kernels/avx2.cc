#include <immintrin.h>

#include "kernels/kernels.inc"

namespace visiontorch::kernels {

const Table kAvx2 = with_float32("AVX2");

}  // namespace visiontorch::kernels
