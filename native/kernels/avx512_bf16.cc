#include <immintrin.h>

#include "kernels/kernels.inc"

namespace visiontorch::kernels {

const Table kAvx512Bf16 = with_bfloat16("AVX512_BF16");

}  // namespace visiontorch::kernels
