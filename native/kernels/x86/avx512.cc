#include "kernels/simd/table.h"

namespace visiontorch::kernels {

const Table kAvx512 = table_of("AVX512");

}  // namespace visiontorch::kernels
