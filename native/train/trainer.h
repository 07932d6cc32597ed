#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "distributed/gradients.h"
#include "eager/forward.h"
#include "nn/network.h"
#include "train/loss_scale.h"
#include "train/optimizer.h"
#include "train/parameter_groups.h"

namespace visiontorch::train {

// The parameters that are never trained; Trainer::set_frozen() freezes others temporarily.
struct FreezeOptions {
  size_t stages = 0;   // the number of stages from the first on: see nn::stages()
  std::string prefix;  // freezes parameters whose names start with it; "": none
};

struct TrainerOptions {
  OptimizerOptions optimizer;
  GroupOptions groups{};
  FreezeOptions freeze{};
  double label_smoothing = 0;
  at::Tensor class_weights{};              // float32 [num_classes], or undefined
  std::optional<double> clip_grad_norm{};  // the maximum total norm of the gradients
  // bfloat16, or float16 with a scaled loss: forward and backward under autocast; parameters stay float32.
  at::ScalarType dtype = at::kFloat;
  bool sync_batch_norm = false;  // in a group: batch norms have the statistics of all ranks' batches
};

struct StepOptions {
  double learning_rate;
  uint64_t seed;  // of dropout
  double scale;   // this micro-batch's share of the update
  bool update;  // false for all but the last micro-batch of an update; false for all in a group, see Trainer::update()
  bool last = false;  // in a group: this rank's last micro-batch of an update
  // mixup and CutMix: loss = weight * CE(labels) + (1 - weight) * CE(mixed_labels)
  at::Tensor mixed_labels{};
  double mixed_weight = 1;
};

struct StepResult {
  double loss = 0;      // mean over the batch, with the losses of auxiliary heads; if not finite, nothing was updated
  int64_t correct = 0;  // number of images whose largest logit is that of the label
  double grad_norm = std::numeric_limits<double>::quiet_NaN();  // before clipping; NaN if nothing was clipped
  bool updated = false;                                         // whether the optimizer changed the parameters
};

// Trains a network's own parameters, one optimization step at a time: forward, cross entropy, backward, update. Used on
// the compute thread only, always with the same network, whose classifier must not be replaced.
class Trainer {
 public:
  // Gives the network's tensors memory of their own, on this device. Throws ERR_INVALID_ARGUMENT for an unknown
  // optimizer, and if `freeze` names more stages than there are or a prefix that no parameter has.
  Trainer(nn::Network& network, at::Device device, TrainerOptions options);

  // Freezes everything except the classifier, or only what the options freeze. With `batch_norm_eval`, frozen batch
  // norms use and keep their running statistics.
  void set_frozen(nn::Network& network, bool frozen, bool batch_norm_eval);
  // Returns whether a step leaves the backbone unchanged, so that its features can be computed as for inference.
  bool keeps_backbone() const { return frozen_ && batch_norm_eval_; }

  // images: float32 [n, 3, h, w] on the CPU; labels: int64 [n]. Not if keeps_backbone(). With sync_batch_norm, a rank
  // that has no micro-batch while others do takes this step with n = 0.
  StepResult step(nn::Network& network, const at::Tensor& images, const at::Tensor& labels, const StepOptions& options);
  // The same with the backbone's features [n, features].
  StepResult step_features(nn::Network& network, const at::Tensor& features, const at::Tensor& labels,
                           const StepOptions& options);

  // Shares every update with the other ranks of a group. Each rank steps through its own micro-batches, of which it may
  // have none, and then all call update().
  void join(std::shared_ptr<distributed::ProcessGroup> group);
  // Sums the gradients and these numbers (float64, of the same size on all ranks) over the ranks, and makes an
  // optimizer step, unless one of the numbers, such as a loss, is not finite.
  StepResult update(double learning_rate, at::Tensor numbers);

  // Null unless the loss is scaled.
  LossScale* loss_scale() { return loss_scale_ ? &*loss_scale_ : nullptr; }
  checkpoint::Value optimizer_state() const { return optimizer_->state_dict(); }
  void load_optimizer_state(const checkpoint::Value& state) { optimizer_->load_state_dict(state); }

 private:
  StepResult finish_step(nn::Network& network, const at::Tensor& features,
                         const std::vector<eager::AuxiliaryLogits>& auxiliary, const at::Tensor& labels,
                         const StepOptions& options);
  void optimize(double learning_rate, StepResult& result);
  void forget_gradients();
  StepResult step_without_images(nn::Network& network, int64_t height, int64_t width, const StepOptions& options);
  void prepare_sums();
  at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& labels) const;
  std::vector<at::Tensor> gradients() const;
  double clip_gradients() const;

  // Names of the parameters that the options freeze.
  std::unordered_set<std::string> frozen_by_options(nn::Network& network) const;

  at::Device device_;
  TrainerOptions options_;
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<LossScale> loss_scale_;                     // with float16
  std::shared_ptr<distributed::ProcessGroup> group_;        // null if this process trains alone
  std::optional<distributed::GradientSums> gradient_sums_;  // in a group: of the parameters that are trained
  std::shared_ptr<autograd::Ranks> ranks_;                  // with sync_batch_norm in a group, otherwise null
  bool frozen_ = false, batch_norm_eval_ = true;
};

}  // namespace visiontorch::train
