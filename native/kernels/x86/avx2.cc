#include "kernels/simd/table.h"

namespace visiontorch::kernels {

const Table kAvx2 = table_of("AVX2");

}  // namespace visiontorch::kernels
