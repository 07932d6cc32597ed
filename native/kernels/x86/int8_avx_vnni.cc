#include "kernels/int8/table.h"

namespace visiontorch::kernels {

const Int8Kernels kInt8AvxVnni = int8_table_of("AVX_VNNI");

}  // namespace visiontorch::kernels
