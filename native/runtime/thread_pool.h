#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace visiontorch {

// Helper threads of the compute thread. Unlike an OpenMP team, the pool never waits for a helper that has not started:
// whichever threads are awake take the next tasks, so a helper that the system wakes late, or on the same core, costs
// nothing but its help. Between two loops, helpers stay awake for a moment, yielding to anything else that needs the
// core, and then sleep. Only one thread at a time may use the pool.
class ThreadPool {
 public:
  static ThreadPool& instance();

  // Calls task(i, thread) for each i in [0, count) on this thread (thread 0) and threads - 1 helpers. Returns when all
  // tasks are done; rethrows the first exception.
  void run(std::int64_t count, int threads, const std::function<void(std::int64_t, int)>& task);

 private:
  struct Loop;
  void help(int thread);

  int helpers_ = 0;
  std::atomic<std::uint32_t> loops_ = 0;  // number of loops started so far
  std::atomic<Loop*> loop_ = nullptr;     // the loop that needs help
  std::atomic<int> helping_ = 0;          // helpers that may be using *loop_
};

}  // namespace visiontorch
