#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "binding/environment.h"
#include "model/model.h"

namespace visiontorch::binding {

// The JavaScript object that holds a model (NativeModel in lib/native/native.ts). Its methods queue work on the compute
// thread. Its getters (classes, parameters, device) return facts that were noted when the last such work ended.
class ModelWrap : public Napi::ObjectWrap<ModelWrap> {
 public:
  static void define(Napi::Env env);
  static Napi::Object create(Napi::Env env, std::shared_ptr<model::Model> model);
  // Throws ERR_DISPOSED after dispose().
  static std::shared_ptr<model::Model> unwrap(Napi::Value value);

  explicit ModelWrap(const Napi::CallbackInfo& info);
  ~ModelWrap() override;

 private:
  Napi::Value num_classes(const Napi::CallbackInfo& info);
  Napi::Value parameter_count(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value dtype(const Napi::CallbackInfo& info);
  Napi::Value quantization(const Napi::CallbackInfo& info);
  Napi::Value input_bytes(const Napi::CallbackInfo& info);
  Napi::Value entries(const Napi::CallbackInfo& info);
  Napi::Value summary(const Napi::CallbackInfo& info);
  Napi::Value replace_classifier(const Napi::CallbackInfo& info);
  Napi::Value load_state_dict(const Napi::CallbackInfo& info);
  Napi::Value first_non_finite(const Napi::CallbackInfo& info);
  Napi::Value state_dict(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value to(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  // What the getters return. `Facts::of` must run when nothing else changes the model.
  struct Facts {
    int64_t num_classes = 0, parameter_count = 0;
    std::string device{}, dtype{};
    struct Entry {
      std::string name;
      std::vector<int64_t> shape;
      bool is_counter;  // int64; otherwise float32
    };
    std::vector<Entry> entries{};
    std::vector<std::string> int8_layers{}, float_layers{};  // of a quantized model
    std::optional<nn::ByteScale> input_bytes{};
    static Facts of(model::Model& model);
  };
  std::shared_ptr<model::Model> live() const;
  void note(Napi::Env env, Facts facts);
  // Runs `change(model)` on the compute thread, then notes the new facts.
  template <class Change>
  Napi::Value change_model(const Napi::CallbackInfo& info, Change change, KeepAlive kept = {});

  std::shared_ptr<model::Model> model_;
  Facts facts_;
  int64_t reported_bytes_ = 0;  // to V8, which otherwise would not know how much memory collecting this object frees
};

}  // namespace visiontorch::binding
