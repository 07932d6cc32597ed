// The addon open-library.node. It brings LibTorch into the process, so that visiontorch.node, which needs it, can be
// loaded.
#include <dlfcn.h>
#include <napi.h>

#include <string>

/**
 * openLibrary(path: string): void loads a shared library, which stays loaded until the process ends. Its functions
 * are bound at their first call.
 * @throws Error with the dynamic linker's message
 */
static void open_library(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>();
  if (dlopen(path.c_str(), RTLD_LAZY | RTLD_NODELETE) == nullptr) throw Napi::Error::New(info.Env(), dlerror());
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["openLibrary"] = Napi::Function::New<open_library>(env, "openLibrary");
  return exports;
}

NODE_API_MODULE(open_library, init)
