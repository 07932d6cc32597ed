#include <ATen/ATen.h>

#include "train/optimizer.h"

namespace visiontorch::train {

namespace {

// torch.optim.SGD. The momentum buffer starts as the first gradient.
class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, Tensors parameters)
      : Optimizer(std::move(parameters), {{"momentum_buffer"}}),
        momentum_(options.number("momentum")),
        dampening_(options.number("dampening")),
        nesterov_(options.number("nesterov") != 0),
        weight_decay_(options.number("weightDecay")) {}

 protected:
  void update(const Indices& indices, double learning_rate, bool is_first) override {
    Tensors buffers;
    if (momentum_ != 0) {
      if (is_first) create_states(indices);
      buffers = states(indices, 0);
    }
    at::_fused_sgd_(parameters(indices), gradients(indices), buffers, weight_decay_, momentum_, learning_rate,
                    dampening_, nesterov_, /*maximize=*/false, is_first);
  }

  checkpoint::Value::Dict hyperparameters() const override {
    return {
        {"momentum", momentum_}, {"dampening", dampening_}, {"weight_decay", weight_decay_}, {"nesterov", nesterov_}};
  }

 private:
  double momentum_, dampening_;
  bool nesterov_;
  double weight_decay_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options, std::vector<at::Tensor> parameters) {
  return std::make_unique<Sgd>(options, std::move(parameters));
}

}  // namespace visiontorch::train
