#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/value.h"

namespace visiontorch::train {

// The optimizer's name in make_optimizer(), and its hyperparameters by their names in lib/train/optimizers.ts.
struct OptimizerOptions {
  std::string name;
  std::map<std::string, std::vector<double>> hyperparameters;  // a flag is 0 or 1; a pair has two numbers

  // Returns a hyperparameter. Throws ERR_INVALID_ARGUMENT if it is missing.
  const std::vector<double>& numbers(const std::string& key, size_t count) const;
  double number(const std::string& key) const { return numbers(key, 1)[0]; }
};

// A group of parameters with its own learning rate and weight decay.
struct OptimizerGroup {
  std::vector<at::Tensor> parameters;
  double learning_rate_scale = 1;
  std::optional<double> weight_decay{};  // unset: the optimizer's
};

// An optimizer of torch.optim for groups of parameters. It skips parameters without a gradient (frozen ones), which
// keep their state. Each subclass has a file of its own and computes its updates with LibTorch's fused kernels.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Updates the parameters with their gradients.
  void step(double learning_rate);

  // Uses the layout of PyTorch's optimizer.state_dict().
  checkpoint::Value state_dict() const;
  // Throws ERR_CHECKPOINT_MISMATCH if the state belongs to another optimizer or to other parameters.
  void load_state_dict(const checkpoint::Value& value);

 protected:
  using Indices = std::vector<size_t>;  // of parameters
  using Tensors = std::vector<at::Tensor>;

  // A tensor that the optimizer keeps for each parameter, with its name in PyTorch's state dict.
  struct StateTensor {
    const char* name;
    bool is_scalar = false;  // float32; otherwise it has the shape and memory layout of its parameter
  };

  Optimizer(std::vector<OptimizerGroup> groups, double weight_decay, std::vector<StateTensor> layout);

  // Updates these parameters. If `is_first`, none of them has a state yet; otherwise all have one.
  virtual void update(const Indices& indices, double learning_rate, double weight_decay, bool is_first) = 0;
  // Returns a group's hyperparameters by their names in PyTorch's `param_groups`, without those that every optimizer
  // has.
  virtual checkpoint::Value::Dict hyperparameters(double weight_decay) const = 0;

  // Gives these parameters states of zeros.
  void create_states(const Indices& indices);
  // Tensors of these parameters. Four-dimensional tensors are permuted to the order of their memory, because the fused
  // kernels copy tensors that are not contiguous.
  Tensors parameters(const Indices& indices) const;
  Tensors gradients(const Indices& indices) const;
  Tensors states(const Indices& indices, size_t position) const;  // `position` in the layout

 private:
  // Of all parameters, group after group.
  struct Group {
    size_t first, last;
    double learning_rate_scale, weight_decay;
  };
  Tensors parameters_;
  std::vector<Group> groups_;
  std::vector<StateTensor> layout_;
  std::vector<Tensors> states_;  // empty until a parameter's first update
  double learning_rate_ = 0;
};

// Makes an optimizer. Throws ERR_INVALID_ARGUMENT for a name that is not in its table.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);

// Constructors for that table.
std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);
std::unique_ptr<Optimizer> make_adam(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);
std::unique_ptr<Optimizer> make_adamw(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);

}  // namespace visiontorch::train
