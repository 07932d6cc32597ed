#include "kernels/int8/table.h"

namespace visiontorch::kernels {

const Int8Kernels kInt8Avx2 = int8_table_of("AVX2");

}  // namespace visiontorch::kernels
