#include "binding/environment.h"

#include <condition_variable>
#include <mutex>

#include "runtime/compute_thread.h"

namespace visiontorch::binding {

struct Environment::Shared {
  std::mutex mutex;
  std::condition_variable idle;
  bool closed = false;
  bool computing = false;
};

Environment::Environment(Napi::Env env) : env_(env), shared_(std::make_shared<Shared>()) {
  deliver_ = Napi::ThreadSafeFunction::New(env, Napi::Function(), "visiontorch", 0, 1);
  deliver_.Unref(env);
  env.AddCleanupHook([this] { close(); });
}

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

void Environment::compute(std::function<void()> work, std::function<void(Napi::Env)> done, KeepAlive kept) {
  if (pending_++ == 0) deliver_.Ref(env_);
  auto held = kept_.insert(kept_.end(), std::move(kept));
  ComputeThread::instance().post(
      [this, held, shared = shared_, work = std::move(work), done = std::move(done)]() mutable {
        {
          std::lock_guard lock(shared->mutex);
          if (shared->closed) return;
          shared->computing = true;
        }
        work();
        // The environment cannot end between here and the unlock: close() waits for `computing`.
        auto* finish = new std::function<void(Napi::Env)>(std::move(done));
        napi_status status = deliver_.NonBlockingCall(
            finish, [this, held](Napi::Env env, Napi::Function, std::function<void(Napi::Env)>* callback) {
              std::unique_ptr<std::function<void(Napi::Env)>> owned(callback);
              if (env == nullptr) return;
              if (--pending_ == 0) deliver_.Unref(env);
              (*owned)(env);
              kept_.erase(held);
            });
        if (status != napi_ok) delete finish;
        {
          std::lock_guard lock(shared->mutex);
          shared->computing = false;
        }
        shared->idle.notify_all();
      });
}

void Environment::close() {
  std::unique_lock lock(shared_->mutex);
  shared_->closed = true;
  shared_->idle.wait(lock, [this] { return !shared_->computing; });
  lock.unlock();
  deliver_.Abort();
}

}  // namespace visiontorch::binding
