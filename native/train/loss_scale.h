#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <vector>

#include "checkpoint/value.h"

namespace visiontorch::train {

// Keeps the gradients of a float16 backward pass from underflowing to zero: it multiplies the loss by a power of two
// that doubles after 2,000 updates, and halves when a gradient is not finite (torch.amp.GradScaler with its defaults).
class LossScale {
 public:
  explicit LossScale(at::Device device);

  at::Tensor scale(const at::Tensor& loss) const { return loss * scale_; }
  // Divides the gradients by the scale and adapts the scale. Returns false if a gradient is not finite; then the update
  // must be skipped.
  bool unscale(std::vector<at::Tensor> gradients);

  // Uses the layout of GradScaler.state_dict().
  checkpoint::Value state_dict() const;
  void load_state_dict(const checkpoint::Value& state);

 private:
  at::Tensor scale_;    // float32 scalar
  at::Tensor tracker_;  // int32 scalar: updates since the scale changed
};

}  // namespace visiontorch::train
