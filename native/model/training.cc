#include "model/training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "checkpoint/crc32.h"
#include "checkpoint/state_dict.h"
#include "quantize/saved.h"
#include "runtime/error.h"

namespace visiontorch::model {

namespace {

// Returns the tensor's values as one row in the order of its memory, which the result shares.
at::Tensor flat(const at::Tensor& tensor) { return tensor.detach().as_strided({tensor.numel()}, {1}); }

}  // namespace

Training::Training(std::shared_ptr<Model> model, const TrainingOptions& options)
    : model_(std::move(model)), trainer_(model_->change(Part::All, [&](nn::Network& network) {
        return train::Trainer(network, model_->device(), options.trainer);
      })) {
  if (!options.ema_decay) return;
  average_.emplace(*options.ema_decay);
  average_model_ = std::make_shared<Model>(*model_);
}

void Training::set_frozen(bool frozen, bool batch_norm_eval) {
  model_->change(Part::All, [&](nn::Network& network) { trainer_.set_frozen(network, frozen, batch_norm_eval); });
}

// Runs step(network), which changes this part of the model.
template <class Step>
train::StepResult Training::run(Part part, const Step& step) {
  return model_->change(part, [&](nn::Network& network) {
    const train::StepResult result = step(network);
    if (average_ && result.updated)
      average_model_->change(Part::All, [&](nn::Network& averaged) { average_->update(averaged, network); });
    return result;
  });
}

train::StepResult Training::step(const at::Tensor& images, const at::Tensor& labels,
                                 const train::StepOptions& options) {
  if (trainer_.keeps_backbone()) {
    if (images.size(0) == 0) return {};
    return step_features(model_->infer(images, Output::Backbone), labels, options);
  }
  return run(Part::All, [&](nn::Network& network) { return trainer_.step(network, images, labels, options); });
}

train::StepResult Training::step_features(const at::Tensor& features, const at::Tensor& labels,
                                          const train::StepOptions& options) {
  return run(trainer_.keeps_backbone() ? Part::Classifier : Part::All,
             [&](nn::Network& network) { return trainer_.step_features(network, features, labels, options); });
}

void Training::join(std::shared_ptr<distributed::ProcessGroup> group) {
  group_ = std::move(group);
  trainer_.join(group_);
}

train::StepResult Training::update(double learning_rate, const at::Tensor& numbers) {
  return run(trainer_.keeps_backbone() ? Part::Classifier : Part::All,
             [&](nn::Network&) { return trainer_.update(learning_rate, numbers); });
}

std::vector<std::shared_ptr<Model>> Training::models() const {
  if (average_model_ == nullptr) return {model_};
  return {model_, average_model_};
}

void Training::broadcast(bool parameters) {
  const at::NoGradGuard no_grad;
  for (const std::shared_ptr<Model>& model : models())
    model->change(Part::All, [&](nn::Network& network) {
      for (const nn::Entry& entry : network.entries())
        if (parameters || !entry.is_parameter) group_->broadcast(flat(*entry.tensor));
    });
}

uint32_t Training::checksum() {
  uint32_t result = 0;
  for (const std::shared_ptr<Model>& model : models())
    model->change(Part::All, [&](nn::Network& network) {
      for (const nn::Entry& entry : network.entries()) {
        const at::Tensor values = flat(*entry.tensor).cpu();
        result = checkpoint::crc32({static_cast<const char*>(values.const_data_ptr()), values.nbytes()}, result);
      }
    });
  return result;
}

void Training::load_state(checkpoint::File& file) {
  at::NoGradGuard no_grad;
  const checkpoint::Value& root = file.content();
  if (const checkpoint::Value* scale = root.find("scaler"); scale && trainer_.loss_scale())
    trainer_.loss_scale()->load_state_dict(*scale);
  if (const checkpoint::Value* optimizer = root.find("optimizer")) trainer_.load_optimizer_state(file.read(*optimizer));
  const checkpoint::Value* loaded = root.find("ema");
  if (!average_ || !loaded) return;
  average_model_->change(Part::All, [&](nn::Network& network) {
    const checkpoint::Match match = checkpoint::match_state_dict(network, *loaded);
    if (match.loaded.size() < network.entries().size())
      throw Error("ERR_CHECKPOINT_MISMATCH",
                  "the moving average ('ema') lacks some of the network's tensors. Resume "
                  "without ema, or from a file that was saved with it");
    checkpoint::load_state_dict(network, match, file);
  });
  average_->resume();
}

void save(const checkpoint::Descriptor& file, Model& model, const checkpoint::Value& metadata, Training* training,
          const SaveOptions& options) {
  using checkpoint::Value;
  Value weights = model.state_dict(options.weights);
  if (options.dtype) weights = checkpoint::converted(weights, *options.dtype);
  if (!metadata.is_dict()) return checkpoint::write(file, weights, options.container);
  if (model.is_quantized()) weights = quantize::quantized_weights(weights, model.quantization());
  Value::Dict items;
  if (options.container == checkpoint::Container::Safetensors)
    items = weights.as_dict();
  else
    items.emplace_back("state_dict", weights);
  if (model.is_quantized()) items.emplace_back(quantize::kKey, quantize::scales(model.quantization()));
  const auto& plain = metadata.as_dict();
  items.insert(items.end(), plain.begin(), plain.end());
  if (training) items.emplace_back("optimizer", training->optimizer_state());
  if (training && training->loss_scale()) items.emplace_back("scaler", training->loss_scale()->state_dict());
  if (training && training->average()) items.emplace_back("ema", training->average()->state_dict());
  checkpoint::write(file, Value::dict(std::move(items)), options.container);
}

}  // namespace visiontorch::model
