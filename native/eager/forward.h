#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "autograd/batch_norm.h"
#include "nn/blocks.h"

namespace visiontorch::eager {

// What an auxiliary head computed.
struct AuxiliaryLogits {
  at::Tensor logits;
  double loss_weight;
};

// Takes the weight of a convolution or linear layer and the layer's input, and gives the input to compute with.
// Layers of squeeze-and-excitations and of attention have none.
using InputHook = std::function<at::Tensor(const at::Tensor& weight, const at::Tensor& input)>;

struct Mode {
  bool training = false;     // dropout
  bool batch_stats = false;  // batch norm uses and updates statistics of the batch; false: its running statistics
  std::vector<AuxiliaryLogits>* auxiliary = nullptr;  // where the auxiliary heads' results go; null: none is computed
  const InputHook* input_hook = nullptr;              // called before each layer; for inference only
  // With `batch_stats`: the ranks whose batches batch norms take for one. Null: this process's alone.
  std::shared_ptr<const autograd::Ranks> ranks = nullptr;
};

// The forward pass, operation by operation, with autograd: training, and inference for the blocks that a plan's back
// end does not know.
at::Tensor forward(const nn::Nodes& nodes, at::Tensor x, Mode mode);

}  // namespace visiontorch::eager
