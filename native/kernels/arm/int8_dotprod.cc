#include "kernels/int8/table.h"

namespace visiontorch::kernels {

const Int8Kernels kInt8Dotprod = int8_table_of("NEON_DOTPROD");

}  // namespace visiontorch::kernels
