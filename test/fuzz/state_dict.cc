// Fuzzes a pickle and loads its content into a small network.
#include "checkpoint/state_dict.h"

#include "nn/registry.h"
#include "pickle_mutator.h"
#include "read_checkpoint.h"
#include "zip_file.h"

namespace {

using namespace visiontorch;

nn::Network small_network() {
  nn::Options options;
  options.set("widthMult", 0.1);
  options.set("invertedResidualSetting", nn::Options::Rows{{1, 8, 1, 1}});
  return nn::create("mobilenet_v2", 3, options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Deadline deadline;
  fuzz::PatternAllocator::install();
  const fuzz::MemoryFile memory(fuzz::zip_checkpoint({reinterpret_cast<const char*>(data), size}));
  try {
    const auto file = checkpoint::File::open(memory.path(), {});
    nn::Network network = small_network();
    const checkpoint::Match match = checkpoint::match_state_dict(network, file->content());
    checkpoint::load_state_dict(network, match, *file);
    nn::Network untouched = small_network();
    const std::vector<nn::Entry> expected = untouched.entries(), entries = network.entries();
    for (size_t i = 0; i < entries.size(); i++) {
      const at::Tensor& tensor = *entries[i].tensor;
      if (tensor.sizes() != expected[i].tensor->sizes()) fuzz::fail("a tensor of another shape was loaded");
      if (tensor.is_cpu() && !tensor.isfinite().all().item<bool>())
        fuzz::fail("a number that is not finite was loaded");
    }
  } catch (const Error&) {
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  return fuzz::mutate_pickle(data, size, max_size, seed);
}
