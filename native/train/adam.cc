#include <ATen/ATen.h>

#include "train/optimizer.h"

namespace visiontorch::train {

namespace {

using checkpoint::Value;

// torch.optim.Adam, and AdamW, whose weight decay bypasses the moments.
class Adam : public Optimizer {
 public:
  Adam(const OptimizerOptions& options, std::vector<OptimizerGroup> groups, bool decoupled_weight_decay)
      : Optimizer(std::move(groups), options.number("weightDecay"),
                  {{"step", /*is_scalar=*/true}, {"exp_avg"}, {"exp_avg_sq"}}),
        beta1_(options.numbers("betas", 2)[0]),
        beta2_(options.numbers("betas", 2)[1]),
        eps_(options.number("eps")),
        decoupled_weight_decay_(decoupled_weight_decay) {}

 protected:
  void update(const Indices& indices, double learning_rate, double weight_decay, bool is_first) override {
    if (is_first) create_states(indices);
    const Tensors steps = states(indices, 0);
    at::_foreach_add_(steps, 1);
    using Kernel = void (*)(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                            at::TensorList, double, double, double, double, double, bool, bool,
                            const std::optional<at::Tensor>&, const std::optional<at::Tensor>&);
    const Kernel adam = at::_fused_adam_, adamw = at::_fused_adamw_;
    const Kernel kernel = decoupled_weight_decay_ ? adamw : adam;
    kernel(parameters(indices), gradients(indices), states(indices, 1), states(indices, 2), {}, steps, learning_rate,
           beta1_, beta2_, weight_decay, eps_, /*amsgrad=*/false, /*maximize=*/false, {}, {});
  }

  Value::Dict hyperparameters(double weight_decay) const override {
    return {{"betas", Value::list({beta1_, beta2_}, Value::Kind::Tuple)},
            {"eps", eps_},
            {"weight_decay", weight_decay},
            {"amsgrad", false},
            {"capturable", false},
            {"decoupled_weight_decay", decoupled_weight_decay_}};
  }

 private:
  double beta1_, beta2_, eps_;
  bool decoupled_weight_decay_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const OptimizerOptions& options, std::vector<OptimizerGroup> groups) {
  return std::make_unique<Adam>(options, std::move(groups), /*decoupled_weight_decay=*/false);
}

std::unique_ptr<Optimizer> make_adamw(const OptimizerOptions& options, std::vector<OptimizerGroup> groups) {
  return std::make_unique<Adam>(options, std::move(groups), /*decoupled_weight_decay=*/true);
}

}  // namespace visiontorch::train
