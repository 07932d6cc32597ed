#include "runtime/compute_thread.h"

#include "runtime/settings.h"

namespace visiontorch {

ComputeThread& ComputeThread::instance() {
  static auto* thread = new ComputeThread();  // leaked on purpose: see the class comment
  return *thread;
}

ComputeThread::ComputeThread() {
  std::thread([this] { run(); }).detach();
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
      wake_.wait(lock, [this] { return !tasks_.empty(); });
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace visiontorch
