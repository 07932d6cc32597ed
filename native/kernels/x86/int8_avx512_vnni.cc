#include "kernels/int8/table.h"

namespace visiontorch::kernels {

const Int8Kernels kInt8Avx512Vnni = int8_table_of("AVX512_VNNI");

}  // namespace visiontorch::kernels
