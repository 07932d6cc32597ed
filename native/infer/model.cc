#include "infer/model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "runtime/autocast.h"

namespace visiontorch::infer {

namespace {

// Each plan holds a packed copy of the weights (VGG16: 240 MB), so few are kept: one for single images and one for
// batches of one size, or two sizes of either.
constexpr size_t kMaxPlans = 2;

}  // namespace

Plan& Model::plan_for(at::IntArrayRef sizes, at::ScalarType type) {
  // The packing depends on the batch only in whether there is one: the last, smaller batch of a data set shares a plan.
  const bool single = sizes[0] == 1;
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    if (it->height == sizes[2] && it->width == sizes[3] && (it->single == single || !device.is_cpu())) {
      plans_.splice(plans_.begin(), plans_, it);
      return plans_.front().plan;
    }
  }
  while (plans_.size() >= kMaxPlans) plans_.pop_back();
  plans_.push_front({sizes[2], sizes[3], single, Plan(network, sizes, type, device)});
  return plans_.front().plan;
}

at::Tensor Model::infer(const at::Tensor& images, Output output) {
  at::NoGradGuard no_grad;
  const at::ScalarType type = compute_type(device.type(), dtype);
  Plan& plan = plan_for(images.sizes(), type);
  at::Tensor features = plan.features(images);
  return (output == Output::Features ? features : plan.logits(network, features)).to(at::kCPU, at::kFloat);
}

void Model::classifier_changed() {
  for (CachedPlan& cached : plans_) cached.plan.forget_classifier();
}

void Model::move_to(at::Device to) {
  for (nn::Entry& entry : network.entries()) *entry.tensor = entry.tensor->detach().to(to);
  device = to;
  changed();
}

}  // namespace visiontorch::infer
