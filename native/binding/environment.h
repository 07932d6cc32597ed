#pragma once

#include <napi.h>

#include <functional>
#include <list>
#include <memory>
#include <vector>

namespace visiontorch::binding {

// JavaScript objects that must stay alive until some work is done: the buffers that it reads, and the object whose
// method started it.
using KeepAlive = std::vector<Napi::ObjectReference>;

// The state of one JavaScript environment (the main thread or a worker_thread): its error class, and the way back from
// the compute thread to its event loop. When the environment ends, it waits for work in progress and drops work that
// has not started.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  static Environment& of(Napi::Env env);

  // Runs `work` on the compute thread, then `done` on this environment's JavaScript thread. Neither may throw.
  void compute(std::function<void()> work, std::function<void(Napi::Env)> done, KeepAlive kept);

  Napi::FunctionReference error_class;  // VisionTorchError(code, message), set by lib/native/native.ts
  Napi::FunctionReference model_class;  // constructors of the classes whose objects native code creates
  Napi::FunctionReference calibrator_class;
  Napi::FunctionReference checkpoint_class;
  Napi::FunctionReference trainer_class;
  Napi::FunctionReference process_group_class;

 private:
  void close();

  struct Shared;  // outlives the environment while the compute thread still holds tasks
  napi_env env_;
  std::shared_ptr<Shared> shared_;
  Napi::ThreadSafeFunction deliver_;
  std::list<KeepAlive> kept_;  // JavaScript thread only: references must not die on another thread
  int pending_ = 0;            // JavaScript thread only; keeps the event loop alive while above zero
};

}  // namespace visiontorch::binding
