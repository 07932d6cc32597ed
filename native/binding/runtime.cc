#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "binding/exports.h"
#include "binding/promise.h"
#include "infer/cuda.h"
#include "kernels/kernels.h"
#include "runtime/autocast.h"
#include "runtime/compute_thread.h"
#include "runtime/libtorch.h"

namespace visiontorch::binding {

namespace {

const char* name_of(infer::CudnnFusion fusion) {
  switch (fusion) {
    case infer::CudnnFusion::Untried: return "untried";
    case infer::CudnnFusion::Used: return "used";
    case infer::CudnnFusion::Unsupported: return "unsupported";
  }
  return "";
}

Napi::Value runtime_info(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guard(env, [&] {
    auto result = Napi::Object::New(env);
    result["libtorchVersion"] = Napi::String::New(env, libtorch_version());
    result["libtorchPath"] = Napi::String::New(env, libtorch_path());
    result["threads"] = Napi::Number::New(env, at::get_num_threads());
    result["cpuCapability"] = Napi::String::New(env, at::get_cpu_capability());
    result["kernels"] = Napi::String::New(env, kernels::table() ? kernels::table()->name : "oneDNN");
    result["bfloat16"] = Napi::Boolean::New(env, compute_type(at::kCPU, at::kBFloat16) == at::kBFloat16);
    result["cuda"] = Napi::Boolean::New(env, at::hasCUDA());
    result["cudaDevices"] = Napi::Number::New(env, static_cast<double>(at::getNumGPUs()));
    result["cudnnFusion"] = Napi::String::New(env, name_of(infer::cudnn_fusion()));
    return result.As<Napi::Value>();
  });
}

// OpenMP keeps one number per calling thread. The compute thread needs it, and so does this one, which answers
// runtimeInfo().
Napi::Value set_threads(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    const int threads = info[0].As<Napi::Number>().Int32Value();
    at::set_num_threads(threads);
    ComputeThread::instance().post([threads] { at::set_num_threads(threads); });
    return info.Env().Undefined();
  });
}

Napi::Value stop(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    ComputeThread::stop();
    return info.Env().Undefined();
  });
}

Napi::Value set_error_class(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

}  // namespace

void export_runtime(Napi::Env env, Napi::Object exports) {
  exports["runtimeInfo"] = Napi::Function::New<runtime_info>(env, "runtimeInfo");
  exports["setThreads"] = Napi::Function::New<set_threads>(env, "setThreads");
  exports["stop"] = Napi::Function::New<stop>(env, "stop");
  exports["setErrorClass"] = Napi::Function::New<set_error_class>(env, "setErrorClass");
}

}  // namespace visiontorch::binding
