#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <unordered_map>

#include "eager/forward.h"
#include "runtime/autocast.h"
#include "runtime/error.h"
#include "runtime/text.h"

namespace visiontorch::train {

namespace {

// Makes the network's parameters leaves of autograd, in memory of their own (loaded ones may share a mapped file's),
// with the weights of convolutions channels-last, like everything in a step.
std::vector<at::Tensor> own_parameters(nn::Network& network) {
  std::vector<at::Tensor> parameters;
  for (nn::Entry& entry : network.entries()) {
    const bool convolution = entry.tensor->dim() == 4;
    *entry.tensor =
        entry.tensor->detach().clone(convolution ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
    if (!entry.is_parameter) continue;
    entry.tensor->requires_grad_(true);
    parameters.push_back(*entry.tensor);
  }
  return parameters;
}

std::vector<OptimizerGroup> optimizer_groups(nn::Network& network, const GroupOptions& options) {
  std::unordered_map<std::string, at::Tensor> by_name;
  for (const nn::Entry& entry : network.entries()) by_name.emplace(entry.name, *entry.tensor);
  std::vector<OptimizerGroup> result;
  for (const ParameterGroup& group : parameter_groups(network, options)) {
    result.push_back({{}, group.learning_rate_scale, group.weight_decay});
    for (const std::string& name : group.names) result.back().parameters.push_back(by_name.at(name));
  }
  return result;
}

std::string list_of(const std::vector<nn::Stage>& stages) {
  std::string result;
  for (const nn::Stage& stage : stages) result += (result.empty() ? "" : ", ") + stage.name;
  return result;
}

}  // namespace

Trainer::Trainer(nn::Network& network, at::Device device, TrainerOptions options)
    : device_(device),
      options_(std::move(options)),
      parameters_(own_parameters(network)),
      optimizer_(make_optimizer(options_.optimizer, optimizer_groups(network, options_.groups))) {
  if (options_.class_weights.defined()) options_.class_weights = options_.class_weights.to(device_);
  if (options_.dtype == at::kHalf) loss_scale_.emplace(device_);
  set_frozen(network, false, batch_norm_eval_);
}

void Trainer::set_frozen(nn::Network& network, bool frozen, bool batch_norm_eval) {
  frozen_ = frozen;
  batch_norm_eval_ = batch_norm_eval;
  const std::unordered_set<std::string> never_trained = frozen_by_options(network);
  for (nn::Entry& entry : network.entries())
    if (entry.is_parameter)
      entry.tensor->requires_grad_((!frozen || entry.in_classifier) && !never_trained.contains(entry.name));
  nn::for_each_layer(network.backbone, "", [&](const std::string& path, nn::Layer layer) {
    if (auto* norm = std::get_if<nn::BatchNorm2d*>(&layer))
      (*norm)->is_frozen = batch_norm_eval && never_trained.contains(path + ".weight");
  });
  prepare_sums();
}

void Trainer::join(std::shared_ptr<distributed::ProcessGroup> group) {
  group_ = std::move(group);
  if (options_.sync_batch_norm)
    ranks_ = std::make_shared<autograd::Ranks>([group = group_](const at::Tensor& sums) { group->sum(sums); });
  prepare_sums();
}

void Trainer::prepare_sums() {
  gradient_sums_.reset();
  if (group_ == nullptr) return;
  std::vector<at::Tensor> trained;
  for (const at::Tensor& parameter : parameters_)
    if (parameter.requires_grad()) trained.push_back(parameter);
  gradient_sums_.emplace(group_, trained);
}

std::unordered_set<std::string> Trainer::frozen_by_options(nn::Network& network) const {
  const auto& [count, prefix] = options_.freeze;
  if (count == 0 && prefix.empty()) return {};
  const std::vector<nn::Stage> stages = nn::stages(network);
  if (count > stages.size())
    throw Error("ERR_INVALID_ARGUMENT", "freeze: expected at most " + std::to_string(stages.size()) + " stages (" +
                                            list_of(stages) + "), got " + std::to_string(count));
  std::unordered_set<std::string> layers, result;
  for (size_t i = 0; i < count; i++) layers.insert(stages[i].layers.begin(), stages[i].layers.end());
  bool has_prefix = prefix.empty();
  for (const nn::Entry& entry : network.entries()) {
    if (!entry.is_parameter) continue;
    const bool begins = !prefix.empty() && entry.name.starts_with(prefix);
    has_prefix = has_prefix || begins;
    const size_t dot = entry.name.rfind('.');
    if (begins || layers.contains(dot == std::string::npos ? "" : entry.name.substr(0, dot))) result.insert(entry.name);
  }
  if (result.size() == parameters_.size())
    throw Error("ERR_INVALID_ARGUMENT", "freeze: expected that some parameters remain trainable, got all parameters");
  if (!has_prefix)
    throw Error("ERR_INVALID_ARGUMENT", "freeze: no parameter's name starts with '" + printable(prefix) +
                                            "'; the stages are " + list_of(stages));
  return result;
}

StepResult Trainer::step(nn::Network& network, const at::Tensor& images, const at::Tensor& labels,
                         const StepOptions& options) {
  if (images.size(0) == 0) return step_without_images(network, images.size(2), images.size(3), options);
  nn::check_image_size(network, images.size(2), images.size(3));
  at::manual_seed(options.seed);
  at::Tensor features;
  std::vector<eager::AuxiliaryLogits> auxiliary;
  {
    AutocastGuard autocast(device_.type(), options_.dtype);
    c10::AutoGradMode grad(!frozen_);
    features = eager::forward(
        network.backbone, images.to(device_),
        {.training = true, .batch_stats = true, .auxiliary = frozen_ ? nullptr : &auxiliary, .ranks = ranks_});
  }
  return finish_step(network, features, auxiliary, labels, options);
}

// The sums of batch norms need every rank, in the same order: this one computes the same operations, with an image that
// counts for nothing and a loss of 0.
StepResult Trainer::step_without_images(nn::Network& network, int64_t height, int64_t width,
                                        const StepOptions& options) {
  const at::Tensor image =
      at::zeros({1, 3, height, width}, at::TensorOptions().memory_format(at::MemoryFormat::ChannelsLast));
  StepOptions without = options;
  without.scale = 0;
  ranks_->has_images = false;
  step(network, image, at::zeros({1}, at::kLong), without);
  ranks_->has_images = true;
  return {};
}

StepResult Trainer::step_features(nn::Network& network, const at::Tensor& features, const at::Tensor& labels,
                                  const StepOptions& options) {
  at::manual_seed(options.seed);
  return finish_step(network, features.to(device_), {}, labels, options);
}

StepResult Trainer::finish_step(nn::Network& network, const at::Tensor& features,
                                const std::vector<eager::AuxiliaryLogits>& auxiliary, const at::Tensor& labels_cpu,
                                const StepOptions& options) {
  at::Tensor logits;
  {
    AutocastGuard autocast(device_.type(), options_.dtype);
    logits = eager::forward(network.classifier, features, {.training = true, .batch_stats = true, .ranks = ranks_});
  }
  logits = logits.to(at::kFloat);
  const at::Tensor labels = labels_cpu.to(device_);
  auto mixed_loss = [&](const at::Tensor& of) {
    const at::Tensor loss = loss_of(of, labels);
    if (!options.mixed_labels.defined()) return loss;
    return loss * options.mixed_weight + loss_of(of, options.mixed_labels.to(device_)) * (1 - options.mixed_weight);
  };
  at::Tensor loss = mixed_loss(logits);
  for (const eager::AuxiliaryLogits& head : auxiliary)
    loss = loss + mixed_loss(head.logits.to(at::kFloat)) * head.loss_weight;

  StepResult result{.loss = loss.item<double>(), .correct = logits.detach().argmax(1).eq(labels).sum().item<int64_t>()};
  // With ranks_, the others' backward passes need this one.
  if (!std::isfinite(result.loss) && !ranks_) {
    forget_gradients();
    return result;
  }
  if (options.scale != 1) loss = loss * options.scale;
  if (options.last && gradient_sums_) gradient_sums_->begin();
  (loss_scale_ ? loss_scale_->scale(loss) : loss).backward();
  if (options.update) optimize(options.learning_rate, result);
  return result;
}

StepResult Trainer::update(double learning_rate, at::Tensor numbers) {
  gradient_sums_->finish();
  group_->sum(numbers);
  StepResult result;
  if (numbers.isfinite().all().item<bool>())
    optimize(learning_rate, result);
  else
    forget_gradients();
  return result;
}

void Trainer::optimize(double learning_rate, StepResult& result) {
  result.updated = !loss_scale_ || loss_scale_->unscale(gradients());
  if (result.updated) {
    if (options_.clip_grad_norm) result.grad_norm = clip_gradients();
    optimizer_->step(learning_rate);
  }
  forget_gradients();
}

void Trainer::forget_gradients() {
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
}

at::Tensor Trainer::loss_of(const at::Tensor& logits, const at::Tensor& labels) const {
  std::optional<at::Tensor> weights;
  if (options_.class_weights.defined()) weights = options_.class_weights;
  return at::cross_entropy_loss(logits, labels, weights, at::Reduction::Mean, /*ignore_index=*/-100,
                                options_.label_smoothing);
}

std::vector<at::Tensor> Trainer::gradients() const {
  std::vector<at::Tensor> result;
  for (const at::Tensor& parameter : parameters_)
    if (parameter.grad().defined()) result.push_back(parameter.grad());
  return result;
}

// torch.nn.utils.clip_grad_norm_
double Trainer::clip_gradients() const {
  const std::vector<at::Tensor> all = gradients();
  const at::Tensor norm = at::stack(at::_foreach_norm(all, 2)).norm();
  at::_foreach_mul_(all, (*options_.clip_grad_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm.item<double>();
}

}  // namespace visiontorch::train
