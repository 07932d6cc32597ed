#include <ATen/ATen.h>

#include "train/optimizer.h"

namespace visiontorch::train {

namespace {

// torch.optim.SGD. The momentum buffer starts as the first gradient.
class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, std::vector<OptimizerGroup> groups)
      : Optimizer(std::move(groups), options.number("weightDecay"), {{"momentum_buffer"}}),
        momentum_(options.number("momentum")),
        dampening_(options.number("dampening")),
        nesterov_(options.number("nesterov") != 0) {}

 protected:
  void update(const Indices& indices, double learning_rate, double weight_decay, bool is_first) override {
    Tensors buffers;
    if (momentum_ != 0) {
      if (is_first) create_states(indices);
      buffers = states(indices, 0);
    }
    at::_fused_sgd_(parameters(indices), gradients(indices), buffers, weight_decay, momentum_, learning_rate,
                    dampening_, nesterov_, /*maximize=*/false, is_first);
  }

  checkpoint::Value::Dict hyperparameters(double weight_decay) const override {
    return {
        {"momentum", momentum_}, {"dampening", dampening_}, {"weight_decay", weight_decay}, {"nesterov", nesterov_}};
  }

 private:
  double momentum_, dampening_;
  bool nesterov_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options, std::vector<OptimizerGroup> groups) {
  return std::make_unique<Sgd>(options, std::move(groups));
}

}  // namespace visiontorch::train
