#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/group_options.h"

namespace visiontorch::distributed {

class GpuExchange;

// Waits for a started operation, and throws its error if it fails.
using Wait = std::function<void()>;

// The processes of one job, connected by c10d: a TCPStore to find each other and Gloo to exchange tensors. Tensors on
// GPUs go through NCCL if every rank has it and a GPU of its own. All ranks must call the same operations in the same
// order. Operations block: use it on the compute thread only.
// Every failure is ERR_DISTRIBUTED, and names the rank that caused it if that is known: one that called fail(), or one
// that no longer answers. After that, the group cannot be used.
class ProcessGroup {
 public:
  // Returns once all ranks have joined. Throws if they do not join within the timeout; the message names the missing
  // ranks, or the address that cannot be reached or listened on.
  explicit ProcessGroup(GroupOptions options);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return options_.rank; }
  int size() const { return options_.size; }

  // Overwrites the tensor with that of rank 0. It must be contiguous and have the same size on all ranks.
  void broadcast(at::Tensor tensor);
  // Returns the bytes of rank 0. The arguments of other ranks are ignored.
  std::string broadcast(const std::string& bytes);
  // Overwrites the tensor with the sum over all ranks, which has the same bits on each. It must be contiguous and have
  // the same size on all ranks.
  void sum(at::Tensor tensor) { start_sum(std::move(tensor))(); }
  Wait start_sum(at::Tensor tensor);
  // Returns the bytes of every rank, which may differ in length.
  std::vector<std::string> all_gather(const std::string& bytes);

  // Leaves the group once all ranks want to leave, so that no rank loses its connections before it is done.
  void close();
  // Leaves the group at once, and tells the others why: their operations fail with this message.
  void fail(const std::string& message);

 private:
  struct Connection;

  // Null: Gloo exchanges this tensor.
  GpuExchange* gpus_for(const at::Tensor& tensor);
  template <class Operation>
  auto attempt(const Operation& operation) -> decltype(operation());
  // Finds out which rank caused a failure, and throws the error that says so.
  [[noreturn]] void explain(const std::string& reason);
  std::string cause_of(const std::string& reason);
  void disconnect();

  const GroupOptions options_;
  std::unique_ptr<Connection> connection_;  // null after close() and after a failure
  std::string failure_;                     // why it is null, if it failed
};

}  // namespace visiontorch::distributed
