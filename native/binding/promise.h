#pragma once

#include <napi.h>

#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "binding/environment.h"
#include "runtime/settings.h"

namespace visiontorch::binding {

// Translates any C++ exception into the environment's VisionTorchError (code, message).
Napi::Error to_js_error(Napi::Env env, std::exception_ptr error);

// Runs the body of an exported function and turns every C++ exception into Napi::Error; any other type would end the
// process.
template <class Body>
auto guard(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(env, std::current_exception());
  }
}

enum class On {
  Compute,  // the compute thread: everything that computes with LibTorch
  Pool,     // libuv's thread pool: files and pixels
};

inline KeepAlive keep_alive(std::initializer_list<Napi::Value> values) {
  KeepAlive kept;
  for (const auto& value : values)
    if (value.IsObject()) kept.push_back(Napi::Persistent(value.As<Napi::Object>()));
  return kept;
}

namespace detail {

template <class Result>
struct Outcome {
  std::optional<Result> value;
  std::exception_ptr error;

  template <class Work>
  void run(Work& work) noexcept {
    try {
      value.emplace(work());
    } catch (...) {
      error = std::current_exception();
    }
  }

  // Resolves or rejects the promise.
  template <class Convert>
  void settle(Napi::Env env, Napi::Promise::Deferred& deferred, Convert& convert) noexcept {
    try {
      Napi::HandleScope scope(env);
      try {
        if (error) std::rethrow_exception(error);
        deferred.Resolve(convert(env, std::move(*value)));
      } catch (const Napi::Error& e) {
        deferred.Reject(e.Value());
      } catch (...) {
        deferred.Reject(to_js_error(env, std::current_exception()).Value());
      }
    } catch (...) {
      // The environment is ending (its worker was terminated) and no longer runs JavaScript, so Resolve and Reject both
      // throw. Nobody is waiting for the result.
    }
  }
};

template <class Result, class Work, class Convert>
class PoolWorker : public Napi::AsyncWorker {
 public:
  PoolWorker(Napi::Env env, Work work, Convert convert, KeepAlive kept)
      : Napi::AsyncWorker(env),
        deferred(env),
        work_(std::move(work)),
        convert_(std::move(convert)),
        kept_(std::move(kept)) {}
  void Execute() override {
    const WarningsDropped quiet;
    outcome_.run(work_);
  }
  void OnOK() override { outcome_.settle(Env(), deferred, convert_); }

  Napi::Promise::Deferred deferred;

 private:
  Work work_;
  Convert convert_;
  KeepAlive kept_;
  Outcome<Result> outcome_;
};

}  // namespace detail

// Runs `work` off the JavaScript thread and returns a promise of `convert(env, result)`, which runs on the JavaScript
// thread. `work` returns a movable, non-void value (std::monostate if there is nothing to return).
template <class Work, class Convert>
Napi::Promise run_async(Napi::Env env, On on, Work work, Convert convert, KeepAlive kept = {}) {
  using Result = decltype(work());
  if (on == On::Pool) {
    auto* worker =
        new detail::PoolWorker<Result, Work, Convert>(env, std::move(work), std::move(convert), std::move(kept));
    Napi::Promise promise = worker->deferred.Promise();
    worker->Queue();
    return promise;
  }
  struct Job {
    Napi::Promise::Deferred deferred;
    Work work;
    Convert convert;
    detail::Outcome<Result> outcome{};
  };
  auto job = std::make_shared<Job>(Job{Napi::Promise::Deferred(env), std::move(work), std::move(convert)});
  Napi::Promise promise = job->deferred.Promise();
  Environment::of(env).compute([job] { job->outcome.run(job->work); },
                               [job](Napi::Env env) { job->outcome.settle(env, job->deferred, job->convert); },
                               std::move(kept));
  return promise;
}

// The conversion for work without a result: resolves to undefined.
inline Napi::Value to_undefined(Napi::Env env, std::monostate) { return env.Undefined(); }

}  // namespace visiontorch::binding
