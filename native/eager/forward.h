#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "autograd/batch_norm.h"
#include "nn/blocks.h"

namespace visiontorch::eager {

// The output of an auxiliary head.
struct AuxiliaryLogits {
  at::Tensor logits;
  double loss_weight;
};

// A function that gets the weight of a convolution or linear layer and the layer's input, and returns the input to use
// instead. It is not called for the layers of squeeze-and-excitation and attention blocks.
using InputHook = std::function<at::Tensor(const at::Tensor& weight, const at::Tensor& input)>;

// Takes the weights of a residual block's first and last convolution, and the block's input, and gives the input as its
// shortcut.
using ShortcutHook =
    std::function<at::Tensor(const at::Tensor& first, const at::Tensor& last, const at::Tensor& input)>;

struct Mode {
  bool training = false;     // dropout
  bool batch_stats = false;  // batch norm uses and updates statistics of the batch; false: its running statistics
  std::vector<AuxiliaryLogits>* auxiliary = nullptr;  // receives the auxiliary heads' results; may be null
  const InputHook* input_hook = nullptr;              // called before each layer; for inference only
  const ShortcutHook* shortcut_hook = nullptr;        // called before an input is added to what the block computed
  // With `batch_stats`: the ranks whose batches batch norms take for one. Null: this process's alone.
  std::shared_ptr<const autograd::Ranks> ranks = nullptr;
};

// Runs the forward pass, operation by operation, with autograd. It serves training, and inference for blocks that a
// plan's back end does not support.
at::Tensor forward(const nn::Nodes& nodes, at::Tensor x, Mode mode);

}  // namespace visiontorch::eager
