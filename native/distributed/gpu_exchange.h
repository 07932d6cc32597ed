#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "distributed/nccl.h"

namespace visiontorch::distributed {

// Exchanges tensors between the GPUs of a group with NCCL, on a stream beside that of the computation.
class GpuExchange {
 public:
  GpuExchange(std::shared_ptr<const Nccl> nccl, const NcclId& id, int rank, int size, c10::Device device,
              std::chrono::milliseconds timeout);
  ~GpuExchange() { communicator_->abort(); }
  GpuExchange(const GpuExchange&) = delete;
  GpuExchange& operator=(const GpuExchange&) = delete;

  // Start an exchange once the current stream has computed the tensor. The returned function waits until it is done,
  // and throws ERR_DISTRIBUTED if it failed or took longer than the timeout.
  std::function<void()> start_sum(at::Tensor tensor);
  std::function<void()> start_broadcast(at::Tensor tensor);

 private:
  template <class Operation>
  std::function<void()> start(at::Tensor tensor, Operation operation);

  c10::Device device_;
  std::chrono::milliseconds timeout_;
  c10::Stream stream_;
  std::shared_ptr<NcclCommunicator> communicator_;
};

}  // namespace visiontorch::distributed
