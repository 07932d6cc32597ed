#pragma once

#include <string>
#include <vector>

#include "checkpoint/value.h"
#include "nn/network.h"

namespace visiontorch::checkpoint {

struct Mismatch {
  std::string name;
  std::vector<int64_t> expected, got;
};

struct LoadReport {
  std::vector<std::string> loaded, missing, unexpected;
  std::vector<Mismatch> mismatched;
};

// The network's parameters and buffers as PyTorch's state_dict(): an OrderedDict in the network's order.
Value state_dict(nn::Network& network);

// Puts the tensors of a checkpoint into the network. The state dict is found at the root or inside the usual wrappers
// ('state_dict', 'model', 'model_state_dict', 'net', ...); `module.` and `_orig_mod.` prefixes are understood.
// Contiguous float32 tensors of the right shape are adopted without a copy: they may be views of a mapped file, and
// layers' weights unaligned ones (see nn::aligned()). Others are converted. Tensors of another shape are left
// alone and reported.
// Throws ERR_CHECKPOINT_MISMATCH when the checkpoint holds no dictionary of tensors.
LoadReport load_state_dict(nn::Network& network, const Value& root);

}  // namespace visiontorch::checkpoint
