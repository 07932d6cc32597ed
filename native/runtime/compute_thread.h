#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace visiontorch {

// The one thread that owns LibTorch: every forward and backward pass runs here, in the order of posting. libgomp keeps
// a team of workers for each calling thread, so computing from several threads would build several teams and thrash.
// One per process, shared by all JavaScript environments; it is never joined, since it may be inside LibTorch at exit.
// After a minute without a task it gives memory back (return_idle_memory()), of a GPU all that no tensor uses.
class ComputeThread {
 public:
  static ComputeThread& instance();

  // Queues a task; never blocks. Tasks must not throw.
  void post(std::function<void()> task);

  // Lets the task that runs come to its end, and starts no other: LibTorch must not compute while exit() takes it
  // apart.
  static void stop();

 private:
  ComputeThread();
  void run();
  static std::atomic<ComputeThread*> started_;

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  bool busy_ = true, stopped_ = false;
  std::deque<std::function<void()>> tasks_;
};

}  // namespace visiontorch
