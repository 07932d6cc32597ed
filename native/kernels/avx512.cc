#include <immintrin.h>

#include "kernels/kernels.inc"

namespace visiontorch::kernels {

const Table kAvx512 = with_float32("AVX512");

}  // namespace visiontorch::kernels
