#pragma once

#include <memory>
#include <optional>

#include "checkpoint/file.h"
#include "checkpoint/writer.h"
#include "distributed/process_group.h"
#include "model/model.h"
#include "train/average.h"
#include "train/trainer.h"

namespace visiontorch::model {

struct TrainingOptions {
  train::TrainerOptions trainer;
  std::optional<double> ema_decay{};
};

// A model that is being trained, one optimization step at a time, and the average of its weights. Used on the compute
// thread only. While it exists, the model's classifier must not be replaced.
class Training {
 public:
  Training(std::shared_ptr<Model> model, const TrainingOptions& options);

  // Freezes everything except the classifier. With `batch_norm_eval`, frozen batch norms use and keep their running
  // statistics.
  void set_frozen(bool frozen, bool batch_norm_eval);

  // images: float32 [n, 3, h, w] on the CPU; labels: int64 [n].
  train::StepResult step(const at::Tensor& images, const at::Tensor& labels, const train::StepOptions& options);
  // The same for a frozen backbone, with its features [n, features] computed in advance.
  train::StepResult step_features(const at::Tensor& features, const at::Tensor& labels,
                                  const train::StepOptions& options);

  // Shares the training with the other ranks of a group: see train::Trainer::join().
  void join(std::shared_ptr<distributed::ProcessGroup> group);
  // See train::Trainer::update().
  train::StepResult update(double learning_rate, const at::Tensor& numbers);
  // Overwrites all parameters and buffers, including the average's, with those of rank 0.
  void broadcast() { broadcast(true); }
  // The same for only the buffers, because each rank's batch norms have seen only its own images.
  void broadcast_buffers() { broadcast(false); }
  // Returns a checksum of all parameters and buffers, including the average's.
  uint32_t checksum();

  // Returns the averaged model, or null. Every step updates its tensors.
  std::shared_ptr<Model> average() const { return average_model_; }

  checkpoint::Value optimizer_state() const { return trainer_.optimizer_state(); }
  train::LossScale* loss_scale() { return trainer_.loss_scale(); }
  // Continues from a checkpoint's 'optimizer' and 'scaler' and, if there is an average, its 'ema'.
  void load_state(checkpoint::File& file);

 private:
  template <class Step>
  train::StepResult run(Part part, const Step& step);

  void broadcast(bool parameters);
  std::vector<std::shared_ptr<Model>> models() const;

  std::shared_ptr<Model> model_, average_model_;
  train::Trainer trainer_;
  std::optional<train::Average> average_;
  std::shared_ptr<distributed::ProcessGroup> group_;  // null if this process trains alone
};

struct SaveOptions {
  checkpoint::Container container = checkpoint::Container::Zip;
  std::optional<at::ScalarType> dtype{};  // of the floating-point weights; unset: as they are
  checkpoint::StateDictOptions weights{};
};

// Writes a checkpoint into an empty file: the model's state dict, the metadata (a dictionary) and, if there is a
// training, the state of its optimizer and its average. Without metadata (None), writes only the state dict. In a
// safetensors file, the weights and the metadata are on the same level.
void save(const checkpoint::Descriptor& file, Model& model, const checkpoint::Value& metadata, Training* training,
          const SaveOptions& options = {});

}  // namespace visiontorch::model
