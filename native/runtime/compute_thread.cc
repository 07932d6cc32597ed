#include "runtime/compute_thread.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>

#include <chrono>

#include "runtime/allocator.h"
#include "runtime/settings.h"

namespace visiontorch {

namespace {

// When it has had no task for so long, the thread returns memory: the activations of a training run take gigabytes.
constexpr std::chrono::seconds kIdle(60);

}  // namespace

ComputeThread& ComputeThread::instance() {
  static auto* thread = new ComputeThread();  // leaked on purpose: see the class comment
  return *thread;
}

ComputeThread::ComputeThread() {
  std::thread([this] { run(); }).detach();
  started_ = this;
}

void ComputeThread::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void ComputeThread::run() {
  configure_libtorch();
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      idle_.notify_all();
      const auto has_task = [this] { return !tasks_.empty() && !stopped_; };
      if (!wake_.wait_for(lock, kIdle, has_task)) {
        lock.unlock();
        return_idle_memory();
        if (at::hasCUDA()) at::accelerator::emptyCache();
        lock.lock();
        wake_.wait(lock, has_task);
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
      busy_ = true;
    }
    task();
  }
}

std::atomic<ComputeThread*> ComputeThread::started_ = nullptr;

void ComputeThread::stop() {
  ComputeThread* thread = started_;
  if (thread == nullptr) return;
  std::unique_lock lock(thread->mutex_);
  thread->stopped_ = true;
  thread->idle_.wait(lock, [thread] { return !thread->busy_; });
}

}  // namespace visiontorch
