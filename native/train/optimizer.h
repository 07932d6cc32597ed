#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "checkpoint/value.h"

namespace visiontorch::train {

struct OptimizerOptions {
  enum Kind { SGD, Adam, AdamW } kind;
  double weight_decay;
  double momentum = 0, dampening = 0;             // SGD
  bool nesterov = false;                          // SGD
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // Adam, AdamW
};

// torch.optim's SGD, Adam or AdamW over one group of parameters, by LibTorch's fused kernels. Parameters without a
// gradient (frozen ones) are left alone and keep their state.
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, std::vector<at::Tensor> parameters);

  // One update with the gradients that the parameters hold.
  void step(double learning_rate);

  // In the layout of PyTorch's optimizer.state_dict().
  checkpoint::Value state_dict() const;
  // Throws ERR_CHECKPOINT_MISMATCH when it belongs to another optimizer or to other parameters.
  void load_state_dict(const checkpoint::Value& value);

 private:
  struct State {
    at::Tensor first, second;  // SGD: momentum buffer; Adam: exp_avg and exp_avg_sq. Undefined until the first step
    at::Tensor step;           // Adam: float32 scalar, as PyTorch keeps it
  };
  void step_sgd(const std::vector<size_t>& indices, bool is_first);
  void step_adam(const std::vector<size_t>& indices);

  OptimizerOptions options_;
  std::vector<at::Tensor> parameters_;
  std::vector<State> states_;
  double learning_rate_ = 0;
};

}  // namespace visiontorch::train
