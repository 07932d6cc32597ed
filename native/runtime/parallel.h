#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "runtime/thread_pool.h"

namespace visiontorch {

// Parallel loops with as many threads as LibTorch uses. Call them on the compute thread only, and do not nest them.

// Calls task(i, thread) for each i in [0, count), with thread < at::get_num_threads(). Each thread takes the next task
// when it is done with its last one, because on a busy machine one thread may be much slower than another.
template <class Task>
void parallel_tasks(std::int64_t count, const Task& task) {
  ThreadPool::instance().run(count, at::get_num_threads(), task);
}

// Calls work(begin, end) for parts of [0, count). No part is smaller than `grain`, unless it is the only one.
template <class Work>
void parallel_ranges(std::int64_t count, std::int64_t grain, const Work& work) {
  const std::int64_t parts = std::clamp<std::int64_t>(count / grain, 1, std::int64_t{4} * at::get_num_threads());
  parallel_tasks(parts, [&](std::int64_t part, int) { work(count * part / parts, count * (part + 1) / parts); });
}

}  // namespace visiontorch
