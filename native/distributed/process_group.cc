#include "distributed/process_group.h"

#include <ATen/ATen.h>

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <set>
#include <thread>

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "distributed/address.h"
#include "distributed/gpu_exchange.h"
#include "distributed/heartbeat.h"
#include "distributed/messages.h"
#include "distributed/store.h"
#include "runtime/error.h"
#include "runtime/text.h"

namespace visiontorch::distributed {

using c10d::ProcessGroupGloo;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

// How long a rank whose operation failed waits for the others to report what happened.
constexpr milliseconds kLastWords(3000);

// Keys of the store, each followed by a rank.
constexpr const char* kFailed = "failed/";  // it failed for this reason
constexpr const char* kAlive = "alive/";    // a number that increases while its process runs
constexpr const char* kLost = "lost/";      // one of its operations failed because of another rank
constexpr const char* kDone = "done/";      // it no longer needs the store
constexpr const char* kClosed = "closed/";  // it wants to leave

std::string key(const char* name, int rank) { return name + std::to_string(rank); }

at::Tensor tensor_of(const std::string& bytes) {
  at::Tensor result = at::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(result.data_ptr<uint8_t>()));
  return result;
}

std::string string_of(const at::Tensor& bytes, int64_t size) {
  return {reinterpret_cast<const char*>(bytes.data_ptr<uint8_t>()), static_cast<size_t>(size)};
}

std::shared_ptr<gloo::transport::Device> device_for(const GroupOptions& options) {
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME"); interface != nullptr && *interface != '\0')
    return ProcessGroupGloo::createDeviceForInterface(interface);
  const std::string address = local_address_towards(options.address, options.port);
  return address.empty() ? ProcessGroupGloo::createDefaultDevice() : ProcessGroupGloo::createDeviceForHostname(address);
}

// Tells the GPUs of a job apart: NCCL refuses ranks that share one.
std::string name_of_gpu(c10::Device device) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return std::string(host) + " " + (visible ? visible : "") + " " + device.str();
}

}  // namespace

struct ProcessGroup::Connection {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<ProcessGroupGloo> gloo;
  std::unique_ptr<Heartbeat> heartbeat;
  std::optional<std::unique_ptr<GpuExchange>> gpus;  // of the first tensor on a GPU; null if Gloo exchanges them
  std::vector<int> ended;                            // ranks whose process has ended, once a failure was explained

  void set(const std::string& key, const std::string& value = "1") {
    store->set(key, std::vector<uint8_t>(value.begin(), value.end()));
  }
  std::string get(const std::string& key) {
    const std::vector<uint8_t> value = store->get(key);
    return {value.begin(), value.end()};
  }
  // Returns the heartbeats of all ranks.
  std::vector<int64_t> beats(int size) {
    std::vector<int64_t> result;
    for (int rank = 0; rank < size; rank++) result.push_back(store->add(key(kAlive, rank), 0));
    return result;
  }
  // Returns the ranks that have not set this key.
  std::vector<int> without(const char* name, int size) {
    std::vector<int> result;
    for (int rank = 0; rank < size; rank++)
      if (!store->check({key(name, rank)})) result.push_back(rank);
    return result;
  }
};

ProcessGroup::ProcessGroup(GroupOptions options)
    : options_(std::move(options)), connection_(std::make_unique<Connection>()) {
  Connection& to = *connection_;
  to.store = join_store(options_);
  to.heartbeat = std::make_unique<Heartbeat>(to.store->clone(), key(kAlive, options_.rank));
  try {
    auto gloo = ProcessGroupGloo::Options::create(options_.timeout);
    gloo->devices.push_back(device_for(options_));
    to.gloo = c10::make_intrusive<ProcessGroupGloo>(to.store, options_.rank, options_.size, gloo);
  } catch (const std::exception& error) {
    throw Error("ERR_DISTRIBUTED", "rank " + std::to_string(options_.rank) +
                                       " did not connect with the other ranks. If this machine has several network "
                                       "interfaces, name the right one in GLOO_SOCKET_IFNAME: " +
                                       reason_of(error));
  }
}

ProcessGroup::~ProcessGroup() = default;

template <class Operation>
auto ProcessGroup::attempt(const Operation& operation) -> decltype(operation()) {
  if (connection_ == nullptr)
    throw Error("ERR_DISTRIBUTED", failure_.empty() ? "the process group is closed" : failure_);
  try {
    return operation();
  } catch (const std::exception& error) {
    explain(reason_of(error));
  }
}

GpuExchange* ProcessGroup::gpus_for(const at::Tensor& tensor) {
  if (!tensor.is_cuda() || connection_ == nullptr) return nullptr;
  if (connection_->gpus) return connection_->gpus->get();
  const auto nccl = Nccl::load();
  const std::vector<std::string> gpus = all_gather(nccl ? name_of_gpu(tensor.device()) : "");
  const std::set<std::string> different(gpus.begin(), gpus.end());
  if (different.contains("") || std::ssize(different) < size()) {
    connection_->gpus.emplace(nullptr);
    return nullptr;
  }
  NcclId id{};
  if (rank() == 0) id = nccl->new_id();
  const std::string bytes = broadcast(std::string(std::begin(id.bytes), std::end(id.bytes)));
  std::copy(bytes.begin(), bytes.end(), id.bytes);
  return attempt([&] {
    connection_->gpus = std::make_unique<GpuExchange>(nccl, id, rank(), size(), tensor.device(), options_.timeout);
    return connection_->gpus->get();
  });
}

void ProcessGroup::broadcast(at::Tensor tensor) {
  GpuExchange* gpus = gpus_for(tensor);
  attempt([&] {
    if (gpus) return gpus->start_broadcast(tensor)();
    std::vector<at::Tensor> tensors{std::move(tensor)};
    connection_->gloo->broadcast(tensors)->wait();
  });
}

std::string ProcessGroup::broadcast(const std::string& bytes) {
  at::Tensor size = at::full({1}, static_cast<int64_t>(bytes.size()), at::kLong);
  broadcast(size);
  at::Tensor data = rank() == 0 ? tensor_of(bytes) : at::empty({size.item<int64_t>()}, at::kByte);
  if (data.numel() > 0) broadcast(data);
  return string_of(data, data.numel());
}

Wait ProcessGroup::start_sum(at::Tensor tensor) {
  GpuExchange* gpus = gpus_for(tensor);
  return attempt([&]() -> Wait {
    if (gpus) return [this, wait = gpus->start_sum(tensor)] { attempt(wait); };
    std::vector<at::Tensor> tensors{std::move(tensor)};
    return [this, work = connection_->gloo->allreduce(tensors)] { attempt([&] { work->wait(); }); };
  });
}

std::vector<std::string> ProcessGroup::all_gather(const std::string& bytes) {
  return attempt([&] {
    const auto gather = [&](at::Tensor own) {
      std::vector<std::vector<at::Tensor>> all(1);
      for (int rank = 0; rank < size(); rank++) all[0].push_back(at::empty_like(own));
      std::vector<at::Tensor> input{std::move(own)};
      connection_->gloo->allgather(all, input)->wait();
      return all[0];
    };
    std::vector<int64_t> sizes;
    for (const at::Tensor& size : gather(at::full({1}, static_cast<int64_t>(bytes.size()), at::kLong)))
      sizes.push_back(size.item<int64_t>());
    const int64_t longest = *std::max_element(sizes.begin(), sizes.end());
    std::vector<std::string> result(sizes.size());
    if (longest == 0) return result;
    at::Tensor padded = at::zeros({longest}, at::kByte);
    padded.narrow(0, 0, sizes[rank()]).copy_(tensor_of(bytes));
    const std::vector<at::Tensor> all = gather(padded);
    for (size_t i = 0; i < all.size(); i++) result[i] = string_of(all[i], sizes[i]);
    return result;
  });
}

void ProcessGroup::close() {
  if (connection_ == nullptr) return;
  try {
    connection_->set(key(kClosed, rank()));
    std::vector<std::string> everyone;
    for (int each = 0; each < size(); each++) everyone.push_back(key(kClosed, each));
    connection_->store->wait(everyone, options_.timeout);
  } catch (const std::exception& error) {
    explain(reason_of(error));
  }
  disconnect();
}

void ProcessGroup::fail(const std::string& message) {
  if (connection_ == nullptr) return;
  forget_store(options_);
  failure_ = "rank " + std::to_string(rank()) + " failed: " + message;
  try {
    connection_->set(key(kFailed, rank()), message);
  } catch (const std::exception&) {  // the store is gone, so no rank can be told
  }
  disconnect();
}

void ProcessGroup::explain(const std::string& reason) {
  forget_store(options_);
  failure_ = cause_of(reason);
  disconnect();
  throw Error("ERR_DISTRIBUTED", failure_);
}

std::string ProcessGroup::cause_of(const std::string& reason) {
  Connection& to = *connection_;
  try {
    to.set(key(kLost, rank()));
    to.gpus.reset();
    to.gloo.reset();  // lets the ranks that are still waiting for this one notice
    std::vector<int64_t> before;
    std::vector<int> silent;
    const auto start = Clock::now();
    for (; Clock::now() < start + kLastWords; std::this_thread::sleep_for(milliseconds(50))) {
      // The last beat of a process that was killed may still be under way.
      if (before.empty() || Clock::now() < start + kLastWords / 3) before = to.beats(size());
      silent = to.without(kLost, size());
      for (int other : silent)
        if (to.store->check({key(kFailed, other)}))
          return "rank " + std::to_string(other) + " failed: " + printable(to.get(key(kFailed, other)), 1000);
      if (silent.empty()) return "the connection between the ranks broke: " + reason;
    }
    const std::vector<int64_t> after = to.beats(size());
    for (int other : silent)
      if (before[other] == after[other]) to.ended.push_back(other);
    if (!to.ended.empty()) return list_of(to.ended) + " ended without a message (" + reason + ")";
    return list_of(silent) + " did not answer within " + seconds(options_.timeout) + " (" + reason + ")";
  } catch (const std::exception& error) {
    return (options_.hosts_store ? "rank 0 at " : "the launcher's store at ") + printable(options_.place()) +
           " ended without a message, or cannot be reached any more (" + reason + ")";
  }
}

// Rank 0 serves the store until the others have read what happened.
void ProcessGroup::disconnect() {
  Connection& to = *connection_;
  try {
    to.gpus.reset();
    to.gloo.reset();
    to.set(key(kDone, rank()));
    if (options_.hosts_store && rank() == 0)
      for (const auto end = Clock::now() + kLastWords;
           Clock::now() < end && to.without(kDone, size()).size() > to.ended.size();)
        std::this_thread::sleep_for(milliseconds(20));
  } catch (const std::exception&) {
  }
  connection_.reset();
}

}  // namespace visiontorch::distributed
