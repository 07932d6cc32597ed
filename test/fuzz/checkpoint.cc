// Fuzzes the whole file: containers, headers, pickles and data.
#include "read_checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::read_checkpoint({reinterpret_cast<const char*>(data), size});
  return 0;
}
