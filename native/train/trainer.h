#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "checkpoint/file.h"
#include "infer/model.h"
#include "train/optimizer.h"

namespace visiontorch::train {

struct TrainerOptions {
  OptimizerOptions optimizer;
  double label_smoothing = 0;
  at::Tensor class_weights{};              // float32 [num_classes], or undefined
  std::optional<double> clip_grad_norm{};  // largest total norm of the gradients
  std::optional<double> ema_decay{};
  at::ScalarType dtype = at::kFloat;  // bfloat16: forward and backward under autocast, parameters stay float32
};

struct StepOptions {
  double learning_rate;
  uint64_t seed;  // of dropout
  double scale;   // the share of this micro-batch in the update
  bool update;    // false for all but the last micro-batch of an update
  // mixup and CutMix: loss = weight * CE(labels) + (1 - weight) * CE(mixed_labels)
  at::Tensor mixed_labels{};
  double mixed_weight = 1;
};

struct StepResult {
  double loss;       // mean of the batch; where it is not finite, nothing was updated
  int64_t correct;   // images whose largest logit is the label's
  double grad_norm;  // before clipping; NaN where nothing was clipped
};

// One optimisation step at a time over a model's own parameters: forward, cross entropy, backward, update. Used on the
// compute thread only. While a trainer lives, its model's classifier must not be replaced.
class Trainer {
 public:
  Trainer(std::shared_ptr<infer::Model> model, TrainerOptions options);

  // Freezes all but the classifier. With `batch_norm_eval` frozen batch norms use and keep their running statistics.
  void set_frozen(bool frozen, bool batch_norm_eval);

  // images: float32 [n, 3, h, w] on the CPU; labels: int64 [n].
  StepResult step(const at::Tensor& images, const at::Tensor& labels, const StepOptions& options);
  // The same for a frozen backbone whose features [n, features] were computed before.
  StepResult step_features(const at::Tensor& features, const at::Tensor& labels, const StepOptions& options);

  // The averaged network, or null. Its tensors are updated by every step.
  std::shared_ptr<infer::Model> ema() const { return ema_; }

  checkpoint::Value optimizer_state() const { return optimizer_.state_dict(); }
  // Continues from a checkpoint's 'optimizer' and, if an average is wanted, its 'ema'.
  void load_state(checkpoint::File& file);

 private:
  StepResult finish_step(const at::Tensor& features, const at::Tensor& labels, const StepOptions& options);
  at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& labels) const;
  double clip_gradients() const;
  void update_average();

  std::shared_ptr<infer::Model> model_;
  TrainerOptions options_;
  std::vector<at::Tensor> parameters_;
  Optimizer optimizer_;
  bool frozen_ = false, batch_norm_eval_ = true;
  std::shared_ptr<infer::Model> ema_;
  bool ema_started_ = false;  // the first update copies the parameters
};

}  // namespace visiontorch::train
