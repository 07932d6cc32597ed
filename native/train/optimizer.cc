#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "runtime/error.h"

namespace visiontorch::train {

using checkpoint::Value;

namespace {

// LibTorch's fused kernels copy what is not contiguous: a parameter that is channels-last, and what belongs to it, are
// given to them in that order.
class Order {
 public:
  explicit Order(const at::Tensor& parameter)
      : channels_last_(parameter.dim() == 4 && parameter.is_contiguous(at::MemoryFormat::ChannelsLast)) {}
  at::Tensor operator()(const at::Tensor& x) const { return channels_last_ ? x.permute({0, 2, 3, 1}) : x; }

 private:
  bool channels_last_;
};

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, std::vector<at::Tensor> parameters)
    : options_(options), parameters_(std::move(parameters)), states_(parameters_.size()) {}

void Optimizer::step(double learning_rate) {
  at::NoGradGuard no_grad;
  learning_rate_ = learning_rate;
  std::vector<size_t> fresh, known;  // without and with a state from an earlier step
  for (size_t i = 0; i < parameters_.size(); i++)
    if (parameters_[i].grad().defined()) (states_[i].first.defined() ? known : fresh).push_back(i);
  for (bool is_first : {true, false}) {
    const auto& indices = is_first ? fresh : known;
    if (indices.empty()) continue;
    if (options_.kind == OptimizerOptions::SGD) {
      step_sgd(indices, is_first);
    } else {
      step_adam(indices);
    }
  }
}

void Optimizer::step_sgd(const std::vector<size_t>& indices, bool is_first) {
  std::vector<at::Tensor> parameters, gradients, buffers;
  for (size_t i : indices) {
    const Order order(parameters_[i]);
    parameters.push_back(order(parameters_[i]));
    gradients.push_back(order(parameters_[i].grad()));
    if (options_.momentum == 0) continue;
    if (is_first) states_[i].first = at::zeros_like(parameters_[i]);
    buffers.push_back(order(states_[i].first));
  }
  at::_fused_sgd_(parameters, gradients, buffers, options_.weight_decay, options_.momentum, learning_rate_,
                  options_.dampening, options_.nesterov, /*maximize=*/false, is_first);
}

void Optimizer::step_adam(const std::vector<size_t>& indices) {
  std::vector<at::Tensor> parameters, gradients, first, second, steps;
  for (size_t i : indices) {
    State& state = states_[i];
    if (!state.first.defined()) {
      state.first = at::zeros_like(parameters_[i]);
      state.second = at::zeros_like(parameters_[i]);
      state.step = at::zeros({}, parameters_[i].options());
    }
    const Order order(parameters_[i]);
    parameters.push_back(order(parameters_[i]));
    gradients.push_back(order(parameters_[i].grad()));
    first.push_back(order(state.first));
    second.push_back(order(state.second));
    steps.push_back(state.step);
  }
  at::_foreach_add_(steps, 1);
  auto update = [&](auto kernel) {
    kernel(parameters, gradients, first, second, {}, steps, learning_rate_, options_.beta1, options_.beta2,
           options_.weight_decay, options_.eps, /*amsgrad=*/false, /*maximize=*/false, {}, {});
  };
  using Kernel = void (*)(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                          at::TensorList, double, double, double, double, double, bool, bool,
                          const std::optional<at::Tensor>&, const std::optional<at::Tensor>&);
  update(options_.kind == OptimizerOptions::AdamW ? static_cast<Kernel>(at::_fused_adamw_)
                                                  : static_cast<Kernel>(at::_fused_adam_));
}

Value Optimizer::state_dict() const {
  const bool is_sgd = options_.kind == OptimizerOptions::SGD;
  Value::Dict states;
  Value::List indices;
  for (size_t i = 0; i < states_.size(); i++) {
    const auto index = static_cast<int64_t>(i);
    indices.emplace_back(index);
    if (!states_[i].first.defined()) continue;
    Value::Dict state;
    if (is_sgd) {
      state = {{"momentum_buffer", states_[i].first}};
    } else {
      state = {{"step", states_[i].step}, {"exp_avg", states_[i].first}, {"exp_avg_sq", states_[i].second}};
    }
    states.emplace_back(index, Value::dict(std::move(state)));
  }

  Value::Dict group = {{"lr", learning_rate_}};
  if (is_sgd) {
    group.insert(group.end(), {{"momentum", options_.momentum},
                               {"dampening", options_.dampening},
                               {"weight_decay", options_.weight_decay},
                               {"nesterov", options_.nesterov}});
  } else {
    group.insert(group.end(), {{"betas", Value::list({options_.beta1, options_.beta2}, Value::Kind::Tuple)},
                               {"eps", options_.eps},
                               {"weight_decay", options_.weight_decay},
                               {"amsgrad", false}});
  }
  group.insert(group.end(), {{"maximize", false}, {"foreach", Value()}, {"differentiable", false}, {"fused", Value()}});
  if (!is_sgd)
    group.insert(group.end(),
                 {{"capturable", false}, {"decoupled_weight_decay", options_.kind == OptimizerOptions::AdamW}});
  group.emplace_back("params", Value::list(std::move(indices)));
  return Value::dict(
      {{"state", Value::dict(std::move(states))}, {"param_groups", Value::list({Value::dict(std::move(group))})}});
}

namespace {

[[noreturn]] void mismatch(const std::string& what) {
  throw Error("ERR_CHECKPOINT_MISMATCH",
              "optimizer state: " + what + "; continue with the optimizer and the network of that run");
}

// A parameter's entry of this name, in the parameter's memory layout; undefined where the entry is None.
at::Tensor read_state(const Value& state, const char* name, const at::Tensor& like) {
  const Value* value = state.find(name);
  if (!value) mismatch(std::string("expected an entry '") + name + "' for every parameter");
  if (value->kind() == Value::Kind::None) return {};
  const at::Tensor& source = value->as_tensor();
  if (source.sizes() != like.sizes())
    mismatch(std::string("an entry '") + name + "' has another shape than its parameter");
  return at::empty_like(like).copy_(source);
}

// PyTorch before 1.12 kept Adam's step as a plain number.
at::Tensor read_step(const Value& state, const at::Tensor& like) {
  const Value* value = state.find("step");
  if (!value) mismatch("expected an entry 'step' for every parameter");
  const double step = value->is_tensor() ? value->as_tensor().item<double>() : value->as_float();
  return at::full({}, step, like.options());
}

}  // namespace

void Optimizer::load_state_dict(const Value& value) {
  const Value* states = value.find("state");
  const Value* groups = value.find("param_groups");
  if (!states || !groups || !states->is_dict() || !groups->is_list())
    mismatch("expected a dictionary with 'state' and 'param_groups'");
  size_t count = 0;
  for (const Value& group : groups->as_list())
    if (const Value* params = group.find("params")) count += params->as_list().size();
  if (count != parameters_.size())
    mismatch("it belongs to " + std::to_string(count) + " parameters, the network has " +
             std::to_string(parameters_.size()));

  std::vector<State> loaded(parameters_.size());
  for (const auto& [key, state] : states->as_dict()) {
    const int64_t index = key.as_int();
    if (index < 0 || index >= static_cast<int64_t>(count))
      mismatch("parameter " + std::to_string(index) + " does not exist");
    const at::Tensor& parameter = parameters_[static_cast<size_t>(index)];
    State& target = loaded[static_cast<size_t>(index)];
    if (options_.kind == OptimizerOptions::SGD) {
      target.first = read_state(state, "momentum_buffer", parameter);
    } else {
      target.first = read_state(state, "exp_avg", parameter);
      target.second = read_state(state, "exp_avg_sq", parameter);
      target.step = read_step(state, parameter);
    }
  }
  states_ = std::move(loaded);
}

}  // namespace visiontorch::train
