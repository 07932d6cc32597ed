#include "kernels/simd/table.h"

namespace visiontorch::kernels {

const Table kNeon = table_of("NEON");

}  // namespace visiontorch::kernels
