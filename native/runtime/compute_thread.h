#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace visiontorch {

// The one thread that owns LibTorch: every forward and backward pass runs here, in the order of posting. libgomp keeps
// a team of workers for each calling thread, so computing from several threads would create several teams that compete
// for the cores. There is one such thread per process, shared by all JavaScript environments; it is never joined,
// because it may be inside LibTorch at exit. After a minute without a task, it returns memory (return_idle_memory())
// and, on a GPU, all memory that no tensor uses.
class ComputeThread {
 public:
  static ComputeThread& instance();

  // Queues a task; never blocks. Tasks must not throw.
  void post(std::function<void()> task);

  // Waits for the running task to end, and starts no other: LibTorch must not compute while exit() destroys its static
  // objects.
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
