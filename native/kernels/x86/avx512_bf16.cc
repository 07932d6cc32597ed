#include "kernels/simd/table.h"

namespace visiontorch::kernels {

const Table kAvx512Bf16 = table_of("AVX512_BF16");

}  // namespace visiontorch::kernels
