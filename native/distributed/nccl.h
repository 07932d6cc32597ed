#pragma once

#include <cstddef>
#include <memory>

namespace visiontorch::distributed {

// NCCL, NVIDIA's library for exchanges between GPUs, through its C functions. It is loaded at run time, and these
// declarations stand for its headers: nothing of CUDA is needed to compile this. They are those of nccl.h, version 2.

enum class NcclType : int { Uint8 = 1, Int64 = 4, Float16 = 6, Float32 = 7, Float64 = 8, BFloat16 = 9 };

// Rank 0 makes one for each communicator and gives it to the others.
struct NcclId {
  char bytes[128];
};

struct NcclFunctions;

class Nccl {
 public:
  // Null if the library cannot be found, or lacks a function. The default looks for libnccl.so.2, then for the copy
  // that LibTorch may contain.
  static std::shared_ptr<const Nccl> load(const char* library = nullptr);
  ~Nccl();

  NcclId new_id() const;

 private:
  friend class NcclCommunicator;
  explicit Nccl(std::unique_ptr<NcclFunctions> functions);
  // Throws ERR_DISTRIBUTED unless the result is success.
  void check(int result, const char* what) const;

  std::unique_ptr<NcclFunctions> functions_;
};

// The connected GPUs of a group, one for each rank: that of this rank is the current device of the thread. All ranks
// must call the same operations in the same order. They are enqueued on a CUDA stream and do not wait.
class NcclCommunicator {
 public:
  // Returns once all ranks have called it.
  NcclCommunicator(std::shared_ptr<const Nccl> nccl, const NcclId& id, int rank, int size);
  ~NcclCommunicator() { abort(); }
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  // Overwrites values in the GPU's memory with their sums over the ranks.
  void sum(void* values, size_t count, NcclType type, void* stream);
  // Overwrites values in the GPU's memory with those of rank 0.
  void broadcast(void* values, size_t count, NcclType type, void* stream);
  // Throws ERR_DISTRIBUTED if an operation that was enqueued has failed, because of a connection or another rank.
  void check() const;
  // Ends operations that are under way, after which none may be called.
  void abort();

 private:
  std::shared_ptr<const Nccl> nccl_;
  void* communicator_ = nullptr;
};

}  // namespace visiontorch::distributed
