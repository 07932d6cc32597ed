#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/value.h"

namespace visiontorch::train {

// Which optimizer, by its name in make_optimizer(), and its hyperparameters by their names in lib/train/optimizers.ts.
struct OptimizerOptions {
  std::string name;
  std::map<std::string, std::vector<double>> hyperparameters;  // a flag is 0 or 1; a pair has two numbers

  // Throws ERR_INVALID_ARGUMENT if it is missing.
  const std::vector<double>& numbers(const std::string& key, size_t count) const;
  double number(const std::string& key) const { return numbers(key, 1)[0]; }
};

// Parameters with a learning rate and a weight decay of their own.
struct OptimizerGroup {
  std::vector<at::Tensor> parameters;
  double learning_rate_scale = 1;
  std::optional<double> weight_decay{};  // unset: the optimizer's
};

// An optimizer of torch.optim over groups of parameters. Parameters without a gradient (frozen ones) are left alone
// and keep their state. Each subclass has a file of its own, and computes its updates with LibTorch's fused kernels.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One update with the gradients that the parameters hold.
  void step(double learning_rate);

  // In the layout of PyTorch's optimizer.state_dict().
  checkpoint::Value state_dict() const;
  // Throws ERR_CHECKPOINT_MISMATCH if it belongs to another optimizer or to other parameters.
  void load_state_dict(const checkpoint::Value& value);

 protected:
  using Indices = std::vector<size_t>;  // of parameters
  using Tensors = std::vector<at::Tensor>;

  // A tensor that is kept for each parameter, by its name in PyTorch's state dict.
  struct StateTensor {
    const char* name;
    bool is_scalar = false;  // float32; otherwise it has the shape and memory layout of its parameter
  };

  Optimizer(std::vector<OptimizerGroup> groups, double weight_decay, std::vector<StateTensor> layout);

  // Updates these parameters. `is_first`: none has a state yet; otherwise all have one.
  virtual void update(const Indices& indices, double learning_rate, double weight_decay, bool is_first) = 0;
  // The hyperparameters of a group by their names in PyTorch's `param_groups`, without those that every optimizer has.
  virtual checkpoint::Value::Dict hyperparameters(double weight_decay) const = 0;

  // Gives these parameters states of zeros.
  void create_states(const Indices& indices);
  // Of these parameters. Four-dimensional tensors are permuted to the order of their memory, because the fused kernels
  // copy what is not contiguous.
  Tensors parameters(const Indices& indices) const;
  Tensors gradients(const Indices& indices) const;
  Tensors states(const Indices& indices, size_t position) const;  // `position` in the layout

 private:
  // Of the parameters, which are those of all groups one after the other.
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

// Throws ERR_INVALID_ARGUMENT for a name that is not in its table.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);

// What the table holds.
std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);
std::unique_ptr<Optimizer> make_adam(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);
std::unique_ptr<Optimizer> make_adamw(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);

}  // namespace visiontorch::train
