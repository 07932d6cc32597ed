#include "binding/exports.h"
#include "binding/model.h"
#include "binding/promise.h"
#include "binding/value.h"
#include "onnx/lowering.h"

namespace visiontorch::binding {

namespace {

Napi::Value to_js(Napi::Env env, const onnx::Attribute& attribute) {
  return std::visit(nn::Overload{
                        [&](int64_t value) -> Napi::Value { return Napi::BigInt::New(env, value); },
                        [&](double value) -> Napi::Value { return Napi::Number::New(env, value); },
                        [&](const std::vector<int64_t>& values) -> Napi::Value {
                          auto array = Napi::Array::New(env, values.size());
                          for (uint32_t i = 0; i < values.size(); i++) array[i] = Napi::BigInt::New(env, values[i]);
                          return array;
                        },
                    },
                    attribute);
}

Napi::Value to_js(Napi::Env env, const onnx::Operation& operation) {
  auto result = Napi::Object::New(env);
  result["type"] = Napi::String::New(env, operation.type);
  auto inputs = Napi::Array::New(env, operation.inputs.size());
  for (uint32_t i = 0; i < operation.inputs.size(); i++) inputs[i] = Napi::String::New(env, operation.inputs[i]);
  result["inputs"] = inputs;
  result["output"] = Napi::String::New(env, operation.output);
  auto attributes = Napi::Object::New(env);
  for (const auto& [name, value] : operation.attributes) attributes[name] = to_js(env, value);
  result["attributes"] = attributes;
  return result;
}

Napi::Value to_js(Napi::Env env, onnx::Graph graph) {
  auto result = Napi::Object::New(env);
  result["input"] = Napi::String::New(env, graph.input);
  result["output"] = Napi::String::New(env, graph.output);
  auto operations = Napi::Array::New(env, graph.operations.size());
  for (uint32_t i = 0; i < graph.operations.size(); i++) {
    Napi::HandleScope scope(env);
    operations[i] = to_js(env, graph.operations[i]);
  }
  result["operations"] = operations;
  checkpoint::Value::Dict tensors;
  for (auto& [name, tensor] : graph.tensors) tensors.emplace_back(name, std::move(tensor));
  result["tensors"] = to_js(env, checkpoint::Value::dict(std::move(tensors)), TensorMemory::HandOver);
  return result;
}

// onnxGraph(model, height, width, opset)
Napi::Value onnx_graph(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const int64_t height = info[1].As<Napi::Number>().Int64Value(), width = info[2].As<Napi::Number>().Int64Value(),
                  opset = info[3].As<Napi::Number>().Int64Value();
    return run_async(
        info.Env(), On::Compute,
        [model = ModelWrap::unwrap(info[0]), height, width, opset] { return model->onnx_graph(height, width, opset); },
        [](Napi::Env env, onnx::Graph graph) { return to_js(env, std::move(graph)); });
  });
}

}  // namespace

void export_onnx(Napi::Env env, Napi::Object exports) {
  exports["onnxGraph"] = Napi::Function::New<onnx_graph>(env, "onnxGraph");
}

}  // namespace visiontorch::binding
