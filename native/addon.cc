#include <napi.h>

#include "binding/environment.h"
#include "binding/exports.h"
#include "runtime/allocator.h"

namespace visiontorch::binding {

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  install_cpu_allocator();
  env.SetInstanceData(new Environment(env));
  export_image(env, exports);
  export_runtime(env, exports);
  export_checkpoint(env, exports);
  export_model(env, exports);
  export_calibrator(env, exports);
  export_onnx(env, exports);
  export_trainer(env, exports);
  export_process_group(env, exports);
  return exports;
}

NODE_API_MODULE(visiontorch, init)

}  // namespace visiontorch::binding
