#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>

#include "nn/layers.h"
#include "ops/convolution.h"

namespace visiontorch::autograd {

// The ranks of a job whose batches a batch norm treats as one, as torch.nn.SyncBatchNorm does.
struct Ranks {
  std::function<void(const at::Tensor&)> sum;  // overwrites a float64 tensor with its sums over the ranks
  bool has_images = true;  // false: this rank has no batch, and its values take no part in the statistics
};

// Whether batch_norm_activation() takes this activation.
bool fuses(std::optional<nn::Activation> activation, bool has_residual);

// activation(batch_norm(x) + residual) with the statistics of the batch, as one operation forward and one backward:
// memory traffic limits these layers on the CPU, and PyTorch's separate operations read and write the activations about
// twice as often. `residual` may be undefined. Updates the running statistics as PyTorch does. Computes in float32, and
// adds sums over blocks of rows in the blocks' order, so that the forward result does not depend on the number of
// threads. With `ranks`, the statistics and the gradient of x are those of the batches of all ranks together; the
// gradients of weight and bias are this rank's share.
at::Tensor batch_norm_activation(const nn::BatchNorm2d& norm, const at::Tensor& x, const at::Tensor& residual,
                                 std::optional<nn::Activation> activation,
                                 const std::shared_ptr<const Ranks>& ranks = nullptr);

// batch_norm(x) with the statistics of all ranks, for tensors that batch_norm_activation() does not take.
at::Tensor synchronized_batch_norm(const nn::BatchNorm2d& norm, const at::Tensor& x,
                                   const std::shared_ptr<const Ranks>& ranks);

// If y is a result of batch_norm_activation(), returns a function for the operation that computes the gradient of y,
// which calls it with rows of that gradient while they are in the cache. The backward pass then does not have to read
// them again to sum them. The function may set values to zero that the activation did not pass on. Returns null for any
// other y.
ops::RowsDone sums_of_gradient(const at::Tensor& y);

// Throws ERR_INVALID_ARGUMENT if a channel of x has a single value, whose variance is not defined.
void check_batch_norm(const at::Tensor& x);

// Returns whether batch_norm_activation() supports x: it must be on the CPU, channels-last, and of a type that has
// kernels.
bool supports_batch_norm(const at::Tensor& x);

}  // namespace visiontorch::autograd
