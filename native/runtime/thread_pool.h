#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace visiontorch {

// Helpers of the thread that computes. Unlike OpenMP's team, it never waits for a helper that has not begun: whoever is
// awake takes the next task, so that a helper that the system wakes late, or on the same core, costs no more than its
// help. Between two loops, helpers stay awake for a moment and yield to whatever else wants the core; then they sleep.
// Used by one thread at a time.
class ThreadPool {
 public:
  static ThreadPool& instance();

  // Calls task(i, thread) for each i in [0, count) on this thread (thread 0) and threads - 1 helpers. Returns when all
  // are done; rethrows the first exception.
  void run(std::int64_t count, int threads, const std::function<void(std::int64_t, int)>& task);

 private:
  struct Loop;
  void help(int thread);

  int helpers_ = 0;
  std::atomic<std::uint32_t> loops_ = 0;  // begun so far
  std::atomic<Loop*> loop_ = nullptr;     // what there is to help with
  std::atomic<int> helping_ = 0;          // helpers that may be using *loop_
};

}  // namespace visiontorch
