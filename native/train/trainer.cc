#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "checkpoint/state_dict.h"
#include "eager/forward.h"
#include "runtime/autocast.h"
#include "runtime/error.h"

namespace visiontorch::train {

namespace {

// The network's parameters as leaves of autograd, in memory of their own (loaded ones may share that of a mapped file),
// with convolutions' weights channels-last, which is how the whole step runs.
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

}  // namespace

Trainer::Trainer(std::shared_ptr<infer::Model> model, TrainerOptions options)
    : model_(std::move(model)),
      options_(std::move(options)),
      parameters_(own_parameters(model_->network)),
      optimizer_(options_.optimizer, parameters_) {
  if (options_.class_weights.defined()) options_.class_weights = options_.class_weights.to(model_->device);
  if (!options_.ema_decay) return;
  ema_ = std::make_shared<infer::Model>(model_->network.clone(), model_->options);
  ema_->device = model_->device;
  ema_->dtype = model_->dtype;
}

void Trainer::set_frozen(bool frozen, bool batch_norm_eval) {
  frozen_ = frozen;
  batch_norm_eval_ = batch_norm_eval;
  for (nn::Entry& entry : model_->network.entries())
    if (entry.is_parameter) entry.tensor->requires_grad_(!frozen || entry.in_classifier);
  model_->changed();
}

StepResult Trainer::step(const at::Tensor& images, const at::Tensor& labels, const StepOptions& options) {
  if (frozen_ && batch_norm_eval_) {
    at::Tensor features = model_->infer(images, infer::Model::Output::Features);
    return step_features(features, labels, options);
  }
  at::manual_seed(options.seed);
  at::Tensor features;
  {
    AutocastGuard autocast(model_->device.type(), options_.dtype);
    c10::AutoGradMode grad(!frozen_);
    features = eager::forward(model_->network.backbone, images.to(model_->device),
                              {.training = true, .batch_stats = !(frozen_ && batch_norm_eval_)});
  }
  return finish_step(features, labels, options);
}

StepResult Trainer::step_features(const at::Tensor& features, const at::Tensor& labels, const StepOptions& options) {
  at::manual_seed(options.seed);
  return finish_step(features.to(model_->device), labels, options);
}

StepResult Trainer::finish_step(const at::Tensor& features, const at::Tensor& labels_cpu, const StepOptions& options) {
  at::Tensor logits;
  {
    AutocastGuard autocast(model_->device.type(), options_.dtype);
    logits = eager::forward(model_->network.classifier, features, {.training = true, .batch_stats = true});
  }
  logits = logits.to(at::kFloat);
  const at::Tensor labels = labels_cpu.to(model_->device);
  at::Tensor loss = loss_of(logits, labels);
  if (options.mixed_labels.defined())
    loss = loss * options.mixed_weight +
           loss_of(logits, options.mixed_labels.to(model_->device)) * (1 - options.mixed_weight);

  StepResult result;
  result.loss = loss.item<double>();
  result.correct = logits.detach().argmax(1).eq(labels).sum().item<int64_t>();
  result.grad_norm = std::numeric_limits<double>::quiet_NaN();
  if (!std::isfinite(result.loss)) {
    for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    return result;
  }
  (options.scale == 1 ? loss : loss * options.scale).backward();
  if (!options.update) return result;

  if (options_.clip_grad_norm) result.grad_norm = clip_gradients();
  optimizer_.step(options.learning_rate);
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  if (frozen_ && batch_norm_eval_) {
    model_->classifier_changed();
  } else {
    model_->changed();
  }
  if (ema_) update_average();
  return result;
}

at::Tensor Trainer::loss_of(const at::Tensor& logits, const at::Tensor& labels) const {
  std::optional<at::Tensor> weights;
  if (options_.class_weights.defined()) weights = options_.class_weights;
  return at::cross_entropy_loss(logits, labels, weights, at::Reduction::Mean, /*ignore_index=*/-100,
                                options_.label_smoothing);
}

// torch.nn.utils.clip_grad_norm_
double Trainer::clip_gradients() const {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters_)
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  const at::Tensor norm = at::stack(at::_foreach_norm(gradients, 2)).norm();
  at::_foreach_mul_(gradients, (*options_.clip_grad_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm.item<double>();
}

// torch.optim.swa_utils.AveragedModel with get_ema_avg_fn(decay) and use_buffers: the first update copies.
void Trainer::update_average() {
  at::NoGradGuard no_grad;
  const std::vector<nn::Entry> averages = ema_->network.entries(), current = model_->network.entries();
  std::vector<at::Tensor> averaged, latest;
  for (size_t i = 0; i < averages.size(); i++) {
    if (ema_started_ && averages[i].tensor->is_floating_point()) {
      averaged.push_back(*averages[i].tensor);
      latest.push_back(current[i].tensor->detach());
    } else {
      averages[i].tensor->copy_(*current[i].tensor);
    }
  }
  if (!averaged.empty()) at::_foreach_lerp_(averaged, latest, 1 - *options_.ema_decay);
  ema_started_ = true;
  ema_->changed();
}

void Trainer::load_state(checkpoint::File& file) {
  at::NoGradGuard no_grad;
  const checkpoint::Value& root = file.content();
  if (const checkpoint::Value* optimizer = root.find("optimizer")) optimizer_.load_state_dict(file.read(*optimizer));
  const checkpoint::Value* average = root.find("ema");
  if (!ema_ || !average) return;
  const checkpoint::Match match = checkpoint::match_state_dict(ema_->network, *average);
  if (match.loaded.size() < ema_->network.entries().size())
    throw Error("ERR_CHECKPOINT_MISMATCH",
                "the moving average ('ema') lacks some of the network's tensors. Resume "
                "without ema, or from a file that was saved with it");
  checkpoint::load_state_dict(ema_->network, match, file);
  ema_started_ = true;
  ema_->changed();
}

}  // namespace visiontorch::train
