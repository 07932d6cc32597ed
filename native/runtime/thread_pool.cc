#include "runtime/thread_pool.h"

#include <sched.h>

#include <chrono>
#include <exception>
#include <thread>

namespace visiontorch {

namespace {

// How long a thread looks for work without yielding, and how long a helper looks for work at all after the last loop
// started.
constexpr int kSpins = 1000;
constexpr std::chrono::microseconds kAwake(500);

// Tells the processor that this thread is spinning.
void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until done(), at first without yielding to other threads. Returns false after `most`.
template <class Done>
bool spin(const Done& done, std::chrono::microseconds most) {
  for (int i = 0; i < kSpins; i++) {
    if (done()) return true;
    relax();
  }
  const auto end = std::chrono::steady_clock::now() + most;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    sched_yield();
  }
  return true;
}

}  // namespace

struct ThreadPool::Loop {
  const std::function<void(std::int64_t, int)>& task;
  const std::int64_t count;
  const int threads;
  std::atomic<std::int64_t> next = 0;
  std::atomic<bool> failed = false;
  std::exception_ptr error{};

  void work(int thread) {
    try {
      for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(i, thread);
    } catch (...) {
      next = count;
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }
};

ThreadPool& ThreadPool::instance() {
  static auto* pool = new ThreadPool();  // leaked on purpose: helpers are never joined
  return *pool;
}

void ThreadPool::run(std::int64_t count, int threads, const std::function<void(std::int64_t, int)>& task) {
  Loop loop{task, count, threads};
  if (count > 1 && threads > 1) {
    for (; helpers_ < threads - 1; helpers_++) std::thread(&ThreadPool::help, this, helpers_ + 1).detach();
    loop_ = &loop;
    loops_++;
    loops_.notify_all();
  }
  loop.work(0);
  // A helper counts itself before it looks at loop_, so a helper that is not counted by now finds nothing.
  loop_ = nullptr;
  while (!spin([this] { return helping_ == 0; }, kAwake)) {
  }
  if (loop.failed) std::rethrow_exception(loop.error);
}

void ThreadPool::help(int thread) {
  for (std::uint32_t seen = 0;;) {
    if (!spin([&] { return loops_ != seen; }, kAwake)) loops_.wait(seen);
    seen = loops_;
    helping_++;
    Loop* loop = loop_;
    if (loop != nullptr && thread < loop->threads) loop->work(thread);
    helping_--;
  }
}

}  // namespace visiontorch
