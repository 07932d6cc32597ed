#include "train/loss_scale.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "runtime/error.h"

namespace visiontorch::train {

using checkpoint::Value;

namespace {

constexpr double kInitialScale = 65536, kGrowth = 2, kBackoff = 0.5;
constexpr int64_t kGrowthInterval = 2000;

}  // namespace

LossScale::LossScale(at::Device device)
    : scale_(at::full({}, kInitialScale, at::TensorOptions(at::kFloat).device(device))),
      tracker_(at::zeros({}, at::TensorOptions(at::kInt).device(device))) {}

bool LossScale::unscale(std::vector<at::Tensor> gradients) {
  at::NoGradGuard no_grad;
  at::Tensor overflow = at::zeros({1}, scale_.options());
  at::_amp_foreach_non_finite_check_and_unscale_(gradients, overflow, scale_.reciprocal());
  at::_amp_update_scale_(scale_, tracker_, overflow, kGrowth, kBackoff, kGrowthInterval);
  return overflow.item<float>() == 0;
}

Value LossScale::state_dict() const {
  return Value::dict({{"scale", scale_.item<double>()},
                      {"growth_factor", kGrowth},
                      {"backoff_factor", kBackoff},
                      {"growth_interval", kGrowthInterval},
                      {"_growth_tracker", tracker_.item<int64_t>()}});
}

void LossScale::load_state_dict(const Value& state) {
  const Value *scale = state.find("scale"), *tracker = state.find("_growth_tracker");
  if (!scale || !tracker)
    throw Error("ERR_CHECKPOINT_MISMATCH", "'scaler': expected entries 'scale' and '_growth_tracker'");
  scale_.fill_(scale->as_float());
  tracker_.fill_(tracker->as_int());
}

}  // namespace visiontorch::train
