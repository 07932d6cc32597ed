#include "kernels/simd/table.h"

namespace visiontorch::kernels {

const Table kNeonBf16 = table_of("NEON_BF16");

}  // namespace visiontorch::kernels
