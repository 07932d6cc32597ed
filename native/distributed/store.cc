#include "distributed/store.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include "distributed/messages.h"
#include "runtime/error.h"
#include "runtime/text.h"

namespace visiontorch::distributed {

using c10d::PrefixStore;
using c10d::Store;
using c10d::TCPStore;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

// Keys, some followed by a rank.
constexpr const char* kPresent = "present/";       // a token of each process that is there
constexpr const char* kJob = "job";                // a random id that rank 0 gives the job, and the tokens of its ranks
constexpr const char* kConfirmed = "/confirmed/";  // behind the id: this rank belongs to the job
constexpr const char* kComplete = "/complete";     // behind the id: all do

// The stores of groups that did not fail. A later group at the same address uses the same store: if rank 0 served a new
// one, a rank that is ahead could still connect to the old one. Leaked: LibTorch ends at exit in an unknown order.
auto& open_stores() {
  static auto* stores = new std::map<std::string, c10::intrusive_ptr<TCPStore>>();
  return *stores;
}

// c10d warns of each lost connection with a stack trace. The errors say what matters.
void silence_warnings() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_ERROR;
}

// How long rank 0 waits for a port that the previous job may be about to leave.
constexpr milliseconds kPortTimeout(5000);

c10::intrusive_ptr<TCPStore> connect(const GroupOptions& options, Clock::time_point end) {
  silence_warnings();
  c10d::TCPStoreOptions store;
  store.port = options.port;
  store.isServer = options.hosts_store && options.rank == 0;
  store.numWorkers = options.size;
  store.waitWorkers = false;
  store.timeout = std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(end - Clock::now()));
  c10::intrusive_ptr<TCPStore>& open = open_stores()[options.place()];
  if (open == nullptr) open = c10::make_intrusive<TCPStore>(options.address, store);
  open->setTimeout(options.timeout);
  return open;
}

std::string random_token() {
  std::random_device random;
  char text[17];
  std::snprintf(text, sizeof text, "%08x%08x", random(), random());
  return text;
}

// The ranks of a job, which agree on a random id. Without it, a restarted process could mistake the store that the
// previous job is about to leave for that of its own job.
class Meeting {
 public:
  Meeting(Store& store, const GroupOptions& options) : store_(store), options_(options) {}

  // The id of the job, once all ranks have confirmed it; nothing if they have not within the timeout.
  std::optional<std::string> agree(Clock::time_point end) {
    set(kPresent + std::to_string(options_.rank), token_);
    for (milliseconds pause(5); Clock::now() < end; pause = std::min(2 * pause, milliseconds(200))) {
      if (const std::string id = options_.rank == 0 ? lead() : follow(); !id.empty()) return id;
      std::this_thread::sleep_for(pause);
    }
    return std::nullopt;
  }

  std::vector<int> absent() {
    std::vector<int> result;
    for (int rank = 0; rank < options_.size; rank++)
      if (!store_.check({kPresent + std::to_string(rank)})) result.push_back(rank);
    return result;
  }

 private:
  // A restarted process has another token: rank 0 then gives the job another id.
  std::string lead() {
    if (!store_.check(of_all(kPresent))) return "";
    std::string tokens;
    for (int rank = 0; rank < options_.size; rank++) tokens += get(kPresent + std::to_string(rank));
    if (tokens != tokens_) {
      tokens_ = tokens;
      id_ = random_token();
      set(kJob, id_ + tokens);
      set(id_ + kConfirmed + "0", "");
    }
    if (!store_.check(of_all(id_ + kConfirmed))) return "";
    set(id_ + kComplete, "");
    return id_;
  }

  std::string follow() {
    if (!store_.check({kJob})) return "";
    const std::string job = get(kJob), id = job.substr(0, token_.size());
    if (job.find(token_, id.size()) == std::string::npos) return "";
    if (id != id_) set(id + kConfirmed + std::to_string(options_.rank), "");
    id_ = id;
    return store_.check({id + kComplete}) ? id : "";
  }

  std::vector<std::string> of_all(const std::string& name) const {
    std::vector<std::string> keys;
    for (int rank = 0; rank < options_.size; rank++) keys.push_back(name + std::to_string(rank));
    return keys;
  }
  void set(const std::string& key, const std::string& value) {
    store_.set(key, std::vector<uint8_t>(value.begin(), value.end()));
  }
  std::string get(const std::string& key) {
    const std::vector<uint8_t> value = store_.get(key);
    return {value.begin(), value.end()};
  }

  Store& store_;
  const GroupOptions& options_;
  const std::string token_ = random_token();  // of this process
  std::string tokens_, id_;
};

}  // namespace

// A store that ends meanwhile belonged to the previous job: then looks for this job's.
c10::intrusive_ptr<Store> join_store(const GroupOptions& options) {
  const auto start = Clock::now(), end = start + options.timeout;
  std::vector<int> absent = {0};
  std::string refused;  // why the store could not be reached, or empty
  bool port_in_use = false;
  while (true) {
    c10::intrusive_ptr<Store> store;
    try {
      store = c10::make_intrusive<PrefixStore>(options.prefix, connect(options, end));
      Meeting meeting(*store, options);
      if (const auto id = meeting.agree(end)) return c10::make_intrusive<PrefixStore>(*id, store);
      absent = meeting.absent();
    } catch (const std::exception& error) {
      refused = store ? "" : reason_of(error);
      port_in_use = refused.find("EADDRINUSE") != std::string::npos;
    }
    forget_store(options);
    if (Clock::now() >= (port_in_use ? std::min(end, start + kPortTimeout) : end)) break;
    std::this_thread::sleep_for(milliseconds(50));
  }
  const std::string own = "rank " + std::to_string(options.rank), time = seconds(options.timeout);
  if (port_in_use)
    throw Error("ERR_DISTRIBUTED", own + ": port " + std::to_string(options.port) +
                                       " is in use on this machine. Choose another one (MASTER_PORT) for all ranks");
  if (!refused.empty())
    throw Error("ERR_DISTRIBUTED",
                own + " did not reach rank 0 at " + printable(options.place()) + " within " + time +
                    ". Check that rank 0 runs there and that no firewall stands between: " + refused);
  throw Error("ERR_DISTRIBUTED", list_of(absent) + " of " + std::to_string(options.size) + " did not join within " +
                                     time + ". Start all processes of the job with the same address and port");
}

void forget_store(const GroupOptions& options) { open_stores().erase(options.place()); }

}  // namespace visiontorch::distributed
