// Fuzzes the pickle of a zip file, an opcode at a time, while the file around it stays valid.
#include "pickle_mutator.h"
#include "read_checkpoint.h"
#include "zip_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::read_checkpoint(fuzz::zip_checkpoint({reinterpret_cast<const char*>(data), size}));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  return fuzz::mutate_pickle(data, size, max_size, seed);
}
