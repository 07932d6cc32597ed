#include "distributed/gpu_exchange.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <thread>

#include "runtime/error.h"

namespace visiontorch::distributed {

using Clock = std::chrono::steady_clock;

namespace {

NcclType type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat: return NcclType::Float32;
    case at::kDouble: return NcclType::Float64;
    case at::kHalf: return NcclType::Float16;
    case at::kBFloat16: return NcclType::BFloat16;
    case at::kLong: return NcclType::Int64;
    case at::kByte: return NcclType::Uint8;
    default: throw Error("ERR_DISTRIBUTED", "GPUs cannot exchange tensors of this type");
  }
}

std::shared_ptr<NcclCommunicator> connect(std::shared_ptr<const Nccl> nccl, const NcclId& id, int rank, int size,
                                          c10::Device device) {
  const c10::DeviceGuard guard(device);
  return std::make_shared<NcclCommunicator>(std::move(nccl), id, rank, size);
}

}  // namespace

GpuExchange::GpuExchange(std::shared_ptr<const Nccl> nccl, const NcclId& id, int rank, int size, c10::Device device,
                         std::chrono::milliseconds timeout)
    : device_(device),
      timeout_(timeout),
      stream_(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)),
      communicator_(connect(std::move(nccl), id, rank, size, device)) {}

template <class Operation>
std::function<void()> GpuExchange::start(at::Tensor tensor, Operation operation) {
  const c10::DeviceGuard guard(device_);
  const c10::impl::VirtualGuardImpl cuda(device_.type());
  c10::Event computed(device_.type());
  computed.record(cuda.getStream(device_));
  computed.block(stream_);
  operation(tensor.mutable_data_ptr(), static_cast<size_t>(tensor.numel()), type_of(tensor), stream_.native_handle());
  auto done = std::make_shared<c10::Event>(device_.type());
  done->record(stream_);
  // Keeps the tensor: its memory must not be reused before the exchange is done.
  return [communicator = communicator_, done, tensor, timeout = timeout_] {
    for (const auto end = Clock::now() + timeout; !done->query(); std::this_thread::yield()) {
      communicator->check();
      if (Clock::now() > end) throw Error("ERR_DISTRIBUTED", "an exchange between the GPUs did not end in time");
    }
  };
}

std::function<void()> GpuExchange::start_sum(at::Tensor tensor) {
  return start(std::move(tensor), [&](auto... arguments) { communicator_->sum(arguments...); });
}

std::function<void()> GpuExchange::start_broadcast(at::Tensor tensor) {
  return start(std::move(tensor), [&](auto... arguments) { communicator_->broadcast(arguments...); });
}

}  // namespace visiontorch::distributed
