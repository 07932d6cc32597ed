#include "kernels/x86/table.h"

namespace visiontorch::kernels {

const Table kAvx512 = table_of("AVX512");

}  // namespace visiontorch::kernels
