#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "distributed/process_group.h"

namespace visiontorch::distributed {

// Sums the gradients of parameters over the ranks of a group. They travel in buckets of up to 25 MB, in the reverse
// order of the parameters: the backward pass is done with the last layers first, and their sums are under way while it
// computes the others. Used on the compute thread only, with the same parameters on all ranks.
class GradientSums {
 public:
  GradientSums(std::shared_ptr<ProcessGroup> group, const std::vector<at::Tensor>& parameters);
  ~GradientSums();
  GradientSums(const GradientSums&) = delete;
  GradientSums& operator=(const GradientSums&) = delete;

  // The next backward pass is this rank's last for the update: each bucket starts once its gradients are complete.
  void begin();
  // Starts the buckets that are left, also on a rank that had no backward pass, and waits for all. Then each parameter
  // has the sum as its gradient, or none if no rank has one.
  void finish();

 private:
  struct Buckets;
  std::unique_ptr<Buckets> buckets_;  // the hooks of the parameters point to it
};

}  // namespace visiontorch::distributed
