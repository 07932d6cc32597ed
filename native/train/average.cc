#include "train/average.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace visiontorch::train {

void Average::update(nn::Network& average, nn::Network& current) {
  at::NoGradGuard no_grad;
  const std::vector<nn::Entry> averages = average.entries(), entries = current.entries();
  std::vector<at::Tensor> averaged, latest;
  for (size_t i = 0; i < averages.size(); i++) {
    if (started_ && averages[i].tensor->is_floating_point()) {
      averaged.push_back(*averages[i].tensor);
      latest.push_back(entries[i].tensor->detach());
    } else {
      averages[i].tensor->copy_(*entries[i].tensor);
    }
  }
  if (!averaged.empty()) at::_foreach_lerp_(averaged, latest, 1 - decay_);
  started_ = true;
}

}  // namespace visiontorch::train
