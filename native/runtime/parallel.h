#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#include "runtime/thread_pool.h"

namespace visiontorch {

// Loops shared out among as many threads as LibTorch's, for the thread that computes; none inside another.

// Calls task(i, thread) for each i in [0, count), each thread taking the next one when it is done with its last: on a
// busy machine one thread may be much slower than another. thread < at::get_num_threads().
template <class Task>
void parallel_tasks(std::int64_t count, const Task& task) {
  ThreadPool::instance().run(count, at::get_num_threads(), task);
}

// Calls work(begin, end) for parts of [0, count), none smaller than `grain` unless it is the only one.
template <class Work>
void parallel_ranges(std::int64_t count, std::int64_t grain, const Work& work) {
  const std::int64_t parts = std::clamp<std::int64_t>(count / grain, 1, std::int64_t{4} * at::get_num_threads());
  parallel_tasks(parts, [&](std::int64_t part, int) { work(count * part / parts, count * (part + 1) / parts); });
}

}  // namespace visiontorch
