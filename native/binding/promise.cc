#include "binding/promise.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "runtime/error.h"

namespace visiontorch::binding {

namespace {

Napi::Error make(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::FunctionReference& error_class = Environment::of(env).error_class;
  if (error_class.IsEmpty()) return Napi::Error::New(env, code + ": " + message);
  return Napi::Error(env, error_class.New({Napi::String::New(env, code), Napi::String::New(env, message)}));
}

bool is_out_of_memory(const std::string& what) {
  return what.find("not enough memory") != std::string::npos || what.find("out of memory") != std::string::npos ||
         what.find("can't allocate memory") != std::string::npos;
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, std::exception_ptr error) {
  static const char* kMemoryRemedy = "out of memory: use smaller batches or smaller images, or dispose of other models";
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return make(env, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return make(env, "ERR_OUT_OF_MEMORY", kMemoryRemedy);
  } catch (const c10::Error& e) {
    std::string what = e.what_without_backtrace();
    if (is_out_of_memory(what)) return make(env, "ERR_OUT_OF_MEMORY", kMemoryRemedy);
    return make(env, "ERR_LIBTORCH", "LibTorch reported: " + what);
  } catch (const std::exception& e) {
    return make(env, "ERR_INTERNAL", e.what());
  } catch (...) {
    return make(env, "ERR_INTERNAL", "unknown native exception");
  }
}

}  // namespace visiontorch::binding
