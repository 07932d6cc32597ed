#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "runtime/error.h"
#include "runtime/text.h"

namespace visiontorch::train {

using checkpoint::Value;

namespace {

struct Maker {
  const char* name;
  std::unique_ptr<Optimizer> (*make)(const OptimizerOptions& options, std::vector<OptimizerGroup> groups);
};

// The names are the same as in lib/train/optimizers.ts.
constexpr Maker kOptimizers[] = {{"sgd", make_sgd}, {"adam", make_adam}, {"adamw", make_adamw}};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<OptimizerGroup> groups) {
  std::string known;
  for (const Maker& maker : kOptimizers) {
    if (options.name == maker.name) return maker.make(options, std::move(groups));
    known += (known.empty() ? "" : ", ") + std::string(maker.name);
  }
  throw Error("ERR_INVALID_ARGUMENT", "optimizer.name: expected one of " + known + ", got " + in_quotes(options.name));
}

const std::vector<double>& OptimizerOptions::numbers(const std::string& key, size_t count) const {
  auto found = hyperparameters.find(key);
  if (found == hyperparameters.end() || found->second.size() != count)
    throw Error("ERR_INVALID_ARGUMENT",
                "optimizer." + key + ": expected " + (count == 1 ? "a number" : std::to_string(count) + " numbers"));
  return found->second;
}

Optimizer::Optimizer(std::vector<OptimizerGroup> groups, double weight_decay, std::vector<StateTensor> layout)
    : layout_(std::move(layout)) {
  for (const OptimizerGroup& group : groups) {
    const size_t first = parameters_.size();
    parameters_.insert(parameters_.end(), group.parameters.begin(), group.parameters.end());
    groups_.push_back(
        {first, parameters_.size(), group.learning_rate_scale, group.weight_decay.value_or(weight_decay)});
  }
  states_.resize(parameters_.size());
}

void Optimizer::step(double learning_rate) {
  at::NoGradGuard no_grad;
  learning_rate_ = learning_rate;
  for (const Group& group : groups_) {
    Indices fresh, known;  // parameters without and with a state from an earlier step
    for (size_t i = group.first; i < group.last; i++)
      if (parameters_[i].grad().defined()) (states_[i].empty() ? fresh : known).push_back(i);
    const double rate = learning_rate * group.learning_rate_scale;
    if (!fresh.empty()) update(fresh, rate, group.weight_decay, /*is_first=*/true);
    if (!known.empty()) update(known, rate, group.weight_decay, /*is_first=*/false);
  }
}

void Optimizer::create_states(const Indices& indices) {
  for (size_t i : indices)
    for (const StateTensor& tensor : layout_)
      states_[i].push_back(tensor.is_scalar ? at::zeros({}, parameters_[i].options()) : at::zeros_like(parameters_[i]));
}

namespace {

at::Tensor in_memory_order(const at::Tensor& x, const at::Tensor& parameter) {
  const bool channels_last = parameter.dim() == 4 && parameter.is_contiguous(at::MemoryFormat::ChannelsLast);
  return channels_last && x.dim() == 4 ? x.permute({0, 2, 3, 1}) : x;
}

}  // namespace

Optimizer::Tensors Optimizer::parameters(const Indices& indices) const {
  Tensors result;
  for (size_t i : indices) result.push_back(in_memory_order(parameters_[i], parameters_[i]));
  return result;
}

Optimizer::Tensors Optimizer::gradients(const Indices& indices) const {
  Tensors result;
  for (size_t i : indices) result.push_back(in_memory_order(parameters_[i].grad(), parameters_[i]));
  return result;
}

Optimizer::Tensors Optimizer::states(const Indices& indices, size_t position) const {
  Tensors result;
  for (size_t i : indices) result.push_back(in_memory_order(states_[i][position], parameters_[i]));
  return result;
}

Value Optimizer::state_dict() const {
  Value::Dict states;
  for (size_t i = 0; i < states_.size(); i++) {
    if (states_[i].empty()) continue;
    Value::Dict state;
    for (size_t k = 0; k < layout_.size(); k++) state.emplace_back(layout_[k].name, states_[i][k]);
    states.emplace_back(static_cast<int64_t>(i), Value::dict(std::move(state)));
  }

  Value::List groups;
  for (const Group& each : groups_) {
    Value::Dict group = {{"lr", learning_rate_ * each.learning_rate_scale}};
    Value::Dict own = hyperparameters(each.weight_decay);
    group.insert(group.end(), own.begin(), own.end());
    group.insert(group.end(),
                 {{"maximize", false}, {"foreach", Value()}, {"differentiable", false}, {"fused", Value()}});
    Value::List indices;
    for (size_t i = each.first; i < each.last; i++) indices.emplace_back(static_cast<int64_t>(i));
    group.emplace_back("params", Value::list(std::move(indices)));
    groups.push_back(Value::dict(std::move(group)));
  }
  return Value::dict({{"state", Value::dict(std::move(states))}, {"param_groups", Value::list(std::move(groups))}});
}

namespace {

[[noreturn]] void mismatch(const std::string& what) {
  throw Error("ERR_CHECKPOINT_MISMATCH",
              "optimizer state: " + what + "; resume with the optimizer and the network of the original run");
}

const Value& entry_of(const Value& state, const char* name) {
  const Value* value = state.find(name);
  if (!value) mismatch(std::string("expected an entry '") + name + "' for every parameter");
  return *value;
}

at::Tensor read_like(const Value& value, const char* name, const at::Tensor& parameter) {
  const at::Tensor& source = value.as_tensor();
  if (source.sizes() != parameter.sizes())
    mismatch(std::string("an entry '") + name + "' has another shape than its parameter");
  return at::empty_like(parameter).copy_(source);
}

// PyTorch before 1.12 kept Adam's step as a plain number.
at::Tensor read_scalar(const Value& value, const at::Tensor& parameter) {
  const double number = value.is_tensor() ? value.as_tensor().item<double>() : value.as_float();
  return at::full({}, number, parameter.options());
}

}  // namespace

void Optimizer::load_state_dict(const Value& value) {
  const Value* states = value.find("state");
  const Value* groups = value.find("param_groups");
  if (!states || !groups || !states->is_dict() || !groups->is_list())
    mismatch("expected a dictionary with 'state' and 'param_groups'");
  size_t count = 0;
  std::vector<size_t> ends;  // of the groups
  for (const Value& group : groups->as_list()) {
    if (const Value* params = group.find("params")) count += params->as_list().size();
    ends.push_back(count);
  }
  if (count != parameters_.size())
    mismatch("it belongs to " + std::to_string(count) + " parameters, but the network has " +
             std::to_string(parameters_.size()));
  // The order of the parameters depends on the groups.
  if (!std::equal(ends.begin(), ends.end(), groups_.begin(), groups_.end(),
                  [](size_t end, const Group& group) { return end == group.last; }))
    mismatch(
        "it has other parameter groups. The options normWeightDecay, biasWeightDecay, transformerEmbeddingDecay and "
        "layerDecay must be the same as in the original run");

  std::vector<Tensors> loaded(parameters_.size());
  for (const auto& [key, state] : states->as_dict()) {
    const int64_t index = key.as_int();
    if (index < 0 || index >= static_cast<int64_t>(count))
      mismatch("parameter " + std::to_string(index) + " does not exist");
    const at::Tensor& parameter = parameters_[static_cast<size_t>(index)];
    Tensors tensors;
    bool is_complete = true;  // SGD without momentum saves None
    for (const auto& [name, is_scalar] : layout_) {
      const Value& entry = entry_of(state, name);
      if (entry.kind() == Value::Kind::None) {
        is_complete = false;
        continue;
      }
      tensors.push_back(is_scalar ? read_scalar(entry, parameter) : read_like(entry, name, parameter));
    }
    if (is_complete) loaded[static_cast<size_t>(index)] = std::move(tensors);
  }
  states_ = std::move(loaded);
}

}  // namespace visiontorch::train
