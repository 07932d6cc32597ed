#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/group_options.h"

namespace visiontorch::distributed {

class GpuExchange;

// Waits for an operation that was started, and throws what it failed with.
using Wait = std::function<void()>;

// The processes of one job, connected by c10d: a TCPStore to find each other and Gloo to exchange tensors. Tensors on
// GPUs go through NCCL if every rank has it and a GPU of its own. All ranks must call the same operations in the same
// order. Operations block: use it on the compute thread only.
//
// Every failure is ERR_DISTRIBUTED, and names the rank that caused it if the others can tell: one that called fail(),
// or one that does not answer any more. The group cannot be used after that.
class ProcessGroup {
 public:
  // Returns once all ranks have joined. Throws if they have not within the timeout; the message names those that are
  // missing, or the address that cannot be reached or listened on.
  explicit ProcessGroup(GroupOptions options);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return options_.rank; }
  int size() const { return options_.size; }

  // Overwrites the tensor with that of rank 0. Contiguous, of the same size on all ranks.
  void broadcast(at::Tensor tensor);
  // The bytes of rank 0. What the other ranks pass is ignored.
  std::string broadcast(const std::string& bytes);
  // Overwrites the tensor with the sum over all ranks, the same bits on each. Contiguous, of the same size on all.
  void sum(at::Tensor tensor) { start_sum(std::move(tensor))(); }
  Wait start_sum(at::Tensor tensor);
  // The bytes of every rank, which may differ in length.
  std::vector<std::string> all_gather(const std::string& bytes);

  // Leaves the group once all ranks want to, so that none loses its connections before it is done.
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
