#pragma once

#include <ATen/core/Tensor.h>

#include "nn/blocks.h"

namespace visiontorch::eager {

// What an auxiliary head computed.
struct AuxiliaryLogits {
  at::Tensor logits;
  double loss_weight;
};

struct Mode {
  bool training = false;     // dropout
  bool batch_stats = false;  // batch norm uses and updates statistics of the batch; false: its running statistics
  std::vector<AuxiliaryLogits>* auxiliary = nullptr;  // where the auxiliary heads' results go; null: none is computed
};

// The forward pass, operation by operation, with autograd: training, and inference for the blocks that a plan's back
// end does not know.
at::Tensor forward(const nn::Nodes& nodes, at::Tensor x, Mode mode);

}  // namespace visiontorch::eager
