#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "distributed/process_group.h"

namespace visiontorch::distributed {

// Sums the gradients of parameters over the ranks of a group. They are sent in buckets of up to 25 MB, in the reverse
// order of the parameters: the backward pass finishes the last layers first, and their gradients are summed while it
// computes the others. Most are computed in their bucket. Used on the compute thread only, with the same parameters on
// all ranks.
class GradientSums {
 public:
  GradientSums(std::shared_ptr<ProcessGroup> group, const std::vector<at::Tensor>& parameters);
  ~GradientSums();
  GradientSums(const GradientSums&) = delete;
  GradientSums& operator=(const GradientSums&) = delete;

  // Says that the next backward pass is this rank's last for the update, so each bucket starts once its gradients are
  // complete.
  void begin();
  // Starts the remaining buckets, even on a rank that had no backward pass, and waits for all. Then the gradient of
  // each parameter is the sum, or undefined if no rank has one.
  void finish();

 private:
  struct Buckets;
  std::unique_ptr<Buckets> buckets_;  // the hooks of the parameters point to it
};

}  // namespace visiontorch::distributed
