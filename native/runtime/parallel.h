#pragma once

#include <ATen/Parallel.h>

#include <atomic>
#include <cstdint>

#include "runtime/team.h"

namespace visiontorch {

// Calls task(i, thread) for each i in [0, count), each thread taking the next one when it is done with its last: on a
// busy machine one thread may be much slower than another. thread < at::get_num_threads().
template <class Task>
void parallel_tasks(std::int64_t count, const Task& task) {
  const int threads = at::get_num_threads();
  if (Team::leads()) return Team::instance().run(count, threads, task);
  std::atomic<std::int64_t> next = 0;
  at::parallel_for(0, std::min<std::int64_t>(count, threads), 1, [&](std::int64_t, std::int64_t) {
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(i, at::get_thread_num());
  });
}

}  // namespace visiontorch
