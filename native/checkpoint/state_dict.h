#pragma once

#include <string>
#include <vector>

#include "checkpoint/file.h"
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

// Puts the tensors of `root`, a part of the file's content, into the network. The state dict is found at the root or
// inside the usual wrappers
// ('state_dict', 'model', 'model_state_dict', 'net', ...); `module.` and `_orig_mod.` prefixes are understood.
// Tensors are converted to the network's types. Those of another shape are left alone and reported. Nothing else of
// the file is read, and the network stays as it was if reading fails.
// Throws ERR_CHECKPOINT_MISMATCH when the checkpoint holds no dictionary of tensors.
LoadReport load_state_dict(nn::Network& network, File& file, const Value& root);

}  // namespace visiontorch::checkpoint
