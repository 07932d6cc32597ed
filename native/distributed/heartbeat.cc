#include "distributed/heartbeat.h"

#include <chrono>
#include <exception>

namespace visiontorch::distributed {

Heartbeat::Heartbeat(c10::intrusive_ptr<c10d::Store> store, std::string key)
    : thread_([this, store = std::move(store), key = std::move(key)] {
        std::unique_lock lock(mutex_);
        while (!stopped_) {
          lock.unlock();
          try {
            store->add(key, 1);
          } catch (const std::exception&) {
            return;  // the store is gone, and with it the group
          }
          lock.lock();
          wake_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopped_; });
        }
      }) {}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

}  // namespace visiontorch::distributed
