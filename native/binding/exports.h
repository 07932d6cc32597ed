#pragma once

#include <napi.h>

namespace visiontorch::binding {

// Each function adds the functions or the class of one subject to the addon's exports.
void export_image(Napi::Env env, Napi::Object exports);
void export_runtime(Napi::Env env, Napi::Object exports);
void export_checkpoint(Napi::Env env, Napi::Object exports);
void export_model(Napi::Env env, Napi::Object exports);
void export_calibrator(Napi::Env env, Napi::Object exports);
void export_onnx(Napi::Env env, Napi::Object exports);
void export_trainer(Napi::Env env, Napi::Object exports);
void export_process_group(Napi::Env env, Napi::Object exports);

}  // namespace visiontorch::binding
