#include "distributed/nccl.h"

#include <dlfcn.h>

#include <string>
#include <utility>

#include "runtime/error.h"

namespace visiontorch::distributed {

using Result = int;  // ncclResult_t

struct NcclFunctions {
  Result (*get_unique_id)(NcclId* id);
  Result (*init_rank)(void** communicator, int size, NcclId id, int rank);
  Result (*all_reduce)(const void* from, void* to, size_t count, int type, int operation, void* communicator,
                       void* stream);
  Result (*broadcast)(const void* from, void* to, size_t count, int type, int root, void* communicator, void* stream);
  Result (*get_async_error)(void* communicator, Result* error);
  Result (*abort)(void* communicator);
  const char* (*get_error_string)(Result result);
};

namespace {

constexpr Result kSuccess = 0, kInProgress = 7;
constexpr int kSum = 0;  // ncclRedOp_t

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

std::unique_ptr<NcclFunctions> functions_of(const char* name, int flags) {
  void* library = dlopen(name, flags);
  if (library == nullptr) return nullptr;
  auto found = std::make_unique<NcclFunctions>();
  const bool complete =
      find(library, "ncclGetUniqueId", found->get_unique_id) && find(library, "ncclCommInitRank", found->init_rank) &&
      find(library, "ncclAllReduce", found->all_reduce) && find(library, "ncclBroadcast", found->broadcast) &&
      find(library, "ncclCommGetAsyncError", found->get_async_error) && find(library, "ncclCommAbort", found->abort) &&
      find(library, "ncclGetErrorString", found->get_error_string);
  return complete ? std::move(found) : nullptr;
}

}  // namespace

Nccl::Nccl(std::unique_ptr<NcclFunctions> functions) : functions_(std::move(functions)) {}
Nccl::~Nccl() = default;

std::shared_ptr<const Nccl> Nccl::load(const char* library) {
  auto functions = functions_of(library ? library : "libnccl.so.2", RTLD_NOW | RTLD_NODELETE);
  if (!functions && !library) functions = functions_of("libtorch_cuda.so", RTLD_NOW | RTLD_NOLOAD);
  return functions ? std::shared_ptr<const Nccl>(new Nccl(std::move(functions))) : nullptr;
}

NcclId Nccl::new_id() const {
  NcclId id{};
  check(functions_->get_unique_id(&id), "ncclGetUniqueId");
  return id;
}

void Nccl::check(int result, const char* what) const {
  if (result == kSuccess || result == kInProgress) return;
  throw Error("ERR_DISTRIBUTED", std::string("NCCL failed: ") + what + ": " + functions_->get_error_string(result) +
                                     ". Set NCCL_DEBUG=INFO to see what it does");
}

NcclCommunicator::NcclCommunicator(std::shared_ptr<const Nccl> nccl, const NcclId& id, int rank, int size)
    : nccl_(std::move(nccl)) {
  nccl_->check(nccl_->functions_->init_rank(&communicator_, size, id, rank), "ncclCommInitRank");
}

void NcclCommunicator::abort() {
  if (void* communicator = std::exchange(communicator_, nullptr)) nccl_->functions_->abort(communicator);
}

void NcclCommunicator::sum(void* values, size_t count, NcclType type, void* stream) {
  nccl_->check(
      nccl_->functions_->all_reduce(values, values, count, static_cast<int>(type), kSum, communicator_, stream),
      "ncclAllReduce");
}

void NcclCommunicator::broadcast(void* values, size_t count, NcclType type, void* stream) {
  nccl_->check(nccl_->functions_->broadcast(values, values, count, static_cast<int>(type), 0, communicator_, stream),
               "ncclBroadcast");
}

void NcclCommunicator::check() const {
  Result error = kSuccess;
  nccl_->check(nccl_->functions_->get_async_error(communicator_, &error), "ncclCommGetAsyncError");
  nccl_->check(error, "an exchange");
}

}  // namespace visiontorch::distributed
