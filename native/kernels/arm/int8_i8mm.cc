#include "kernels/int8/table.h"

namespace visiontorch::kernels {

const Int8Kernels kInt8I8mm = int8_table_of("NEON_I8MM");

}  // namespace visiontorch::kernels
