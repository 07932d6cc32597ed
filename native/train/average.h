#pragma once

#include "nn/network.h"

namespace visiontorch::train {

// An exponential moving average of a network's parameters and buffers: torch.optim.swa_utils.AveragedModel with
// get_ema_avg_fn(decay) and use_buffers, except that the counters of batch norms are copied.
class Average {
 public:
  explicit Average(double decay) : decay_(decay) {}

  // average = decay * average + (1 - decay) * current. The first update copies.
  void update(nn::Network& average, nn::Network& current);
  // Says that the average was loaded, so the next update is not the first.
  void resume() { started_ = true; }

 private:
  double decay_;
  bool started_ = false;
};

}  // namespace visiontorch::train
