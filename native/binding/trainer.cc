#include <ATen/ATen.h>

#include "binding/checkpoint.h"
#include "binding/exports.h"
#include "binding/image.h"
#include "binding/model.h"
#include "binding/process_group.h"
#include "binding/promise.h"
#include "binding/value.h"
#include "model/training.h"

namespace visiontorch::binding {

namespace {

double number(Napi::Object object, const char* name) { return object.Get(name).As<Napi::Number>().DoubleValue(); }
bool is_number(Napi::Object object, const char* name) { return object.Get(name).IsNumber(); }

// Reads the optimizer's name and hyperparameters: numbers, booleans and arrays of numbers.
train::OptimizerOptions optimizer_from(Napi::Object object) {
  train::OptimizerOptions options;
  options.name = object.Get("name").As<Napi::String>();
  const Napi::Array keys = object.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); i++) {
    const Napi::Value key = keys[i], value = object.Get(key);
    std::vector<double> numbers;
    if (value.IsArray()) {
      auto array = value.As<Napi::Array>();
      for (uint32_t k = 0; k < array.Length(); k++) numbers.push_back(Napi::Value(array[k]).ToNumber());
    } else if (value.IsNumber() || value.IsBoolean()) {
      numbers.push_back(value.ToNumber());
    }
    options.hyperparameters.emplace(key.As<Napi::String>(), std::move(numbers));
  }
  return options;
}

at::Tensor copy_of(Napi::Float32Array array, at::IntArrayRef sizes) {
  return at::from_blob(array.Data(), sizes, at::kFloat).clone();
}

at::Tensor labels_from(Napi::Value value) {
  auto array = value.As<Napi::Int32Array>();
  return at::from_blob(array.Data(), {static_cast<int64_t>(array.ElementLength())}, at::kInt).to(at::kLong);
}

model::TrainingOptions options_from(Napi::Object object) {
  model::TrainingOptions result{.trainer = {.optimizer = optimizer_from(object.Get("optimizer").As<Napi::Object>())}};
  train::TrainerOptions& options = result.trainer;
  options.label_smoothing = number(object, "labelSmoothing");
  if (object.Get("classWeights").IsTypedArray()) {
    auto weights = object.Get("classWeights").As<Napi::Float32Array>();
    options.class_weights = copy_of(weights, {static_cast<int64_t>(weights.ElementLength())});
  }
  auto optional = [&](const char* name) {
    return is_number(object, name) ? std::optional(number(object, name)) : std::nullopt;
  };
  options.groups = {.norm_weight_decay = optional("normWeightDecay"),
                    .bias_weight_decay = optional("biasWeightDecay"),
                    .embedding_decay = optional("transformerEmbeddingDecay"),
                    .layer_decay = optional("layerDecay")};
  const Napi::Value freeze = object.Get("freeze");
  if (freeze.IsNumber()) options.freeze.stages = static_cast<size_t>(freeze.ToNumber().Int64Value());
  if (freeze.IsString()) options.freeze.prefix = freeze.ToString();
  if (is_number(object, "clipGradNorm")) options.clip_grad_norm = number(object, "clipGradNorm");
  if (object.Get("ema").IsObject()) result.ema_decay = number(object.Get("ema").As<Napi::Object>(), "decay");
  options.sync_batch_norm = object.Get("syncBatchNorm").ToBoolean();
  const std::string dtype = object.Get("dtype").As<Napi::String>();
  options.dtype = dtype == "bfloat16" ? at::kBFloat16 : dtype == "float16" ? at::kHalf : at::kFloat;
  return result;
}

train::StepOptions step_options_from(Napi::Object object) {
  train::StepOptions options{.learning_rate = number(object, "learningRate"),
                             .seed = static_cast<uint64_t>(number(object, "seed")),
                             .scale = number(object, "scale"),
                             .update = object.Get("update").ToBoolean(),
                             .last = object.Get("last").ToBoolean()};
  if (object.Get("mixed").IsObject()) {
    auto mixed = object.Get("mixed").As<Napi::Object>();
    options.mixed_labels = labels_from(mixed.Get("labels"));
    options.mixed_weight = number(mixed, "weight");
  }
  return options;
}

Napi::Value to_object(Napi::Env env, const train::StepResult& result) {
  auto object = Napi::Object::New(env);
  object["loss"] = Napi::Number::New(env, result.loss);
  object["correct"] = Napi::Number::New(env, static_cast<double>(result.correct));
  object["gradNorm"] = Napi::Number::New(env, result.grad_norm);
  return object;
}

// The JavaScript object that holds a trainer (NativeTrainer in lib/native/native.ts).
class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static void define(Napi::Env env) {
    Napi::Function constructor = DefineClass(
        env, "NativeTrainer",
        {InstanceAccessor<&TrainerWrap::ema>("ema"), InstanceMethod<&TrainerWrap::set_frozen>("setFrozen"),
         InstanceMethod<&TrainerWrap::step>("step"), InstanceMethod<&TrainerWrap::step_features>("stepFeatures"),
         InstanceMethod<&TrainerWrap::load_state>("loadState"), InstanceMethod<&TrainerWrap::join>("join"),
         InstanceMethod<&TrainerWrap::update>("update"), InstanceMethod<&TrainerWrap::broadcast>("broadcast"),
         InstanceMethod<&TrainerWrap::broadcast_buffers>("broadcastBuffers"),
         InstanceMethod<&TrainerWrap::checksum>("checksum")});
    Environment::of(env).trainer_class = Napi::Persistent(constructor);
  }

  explicit TrainerWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TrainerWrap>(info) {
    if (!info[0].IsExternal())
      throw Napi::TypeError::New(info.Env(), "NativeTrainer: use createTrainer() instead of new");
    trainer = *info[0].As<Napi::External<std::shared_ptr<model::Training>>>().Data();
    if (trainer->average()) ema_ = Napi::Persistent(ModelWrap::create(info.Env(), trainer->average()));
  }

  std::shared_ptr<model::Training> trainer;

 private:
  Napi::Value ema(const Napi::CallbackInfo& info) { return ema_.IsEmpty() ? info.Env().Null() : ema_.Value(); }

  Napi::Value set_frozen(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const bool frozen = info[0].ToBoolean(), batch_norm_eval = info[1].ToBoolean();
      return run_async(
          info.Env(), On::Compute,
          [trainer = trainer, frozen, batch_norm_eval] {
            trainer->set_frozen(frozen, batch_norm_eval);
            return std::monostate();
          },
          to_undefined);
    });
  }

  Napi::Value step(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      std::shared_ptr<image::ImageBatch> batch = unwrap_batch(info[0]);
      at::Tensor labels = labels_from(info[1]);
      train::StepOptions options = step_options_from(info[2].As<Napi::Object>());
      return run_async(
          info.Env(), On::Compute,
          [trainer = trainer, batch, labels, options] {
            return trainer->step(batch->floats(labels.size(0)), labels, options);
          },
          to_object, keep_alive({info[0]}));
    });
  }

  Napi::Value step_features(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      at::Tensor labels = labels_from(info[1]);
      auto array = info[0].As<Napi::Float32Array>();
      const int64_t count = labels.size(0);
      at::Tensor features = copy_of(array, {count, static_cast<int64_t>(array.ElementLength()) / count});
      train::StepOptions options = step_options_from(info[2].As<Napi::Object>());
      return run_async(
          info.Env(), On::Compute,
          [trainer = trainer, features, labels, options] { return trainer->step_features(features, labels, options); },
          to_object);
    });
  }

  Napi::Value load_state(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      std::shared_ptr<checkpoint::File> file = unwrap_checkpoint(info[0]);
      return run_async(
          info.Env(), On::Compute,
          [trainer = trainer, file] {
            trainer->load_state(*file);
            return std::monostate();
          },
          to_undefined);
    });
  }

  // Runs work(training) on the compute thread and returns a promise of undefined.
  template <class Work>
  Napi::Value run(const Napi::CallbackInfo& info, Work work) {
    return run_async(
        info.Env(), On::Compute,
        [trainer = trainer, work = std::move(work)] {
          work(*trainer);
          return std::monostate();
        },
        to_undefined);
  }

  Napi::Value join(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run(info, [group = unwrap_group(info[0])](model::Training& trainer) { trainer.join(group); });
    });
  }

  Napi::Value update(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const double learning_rate = info[0].ToNumber();
      struct Updated {
        at::Tensor numbers;
        double grad_norm;
      };
      return run_async(
          info.Env(), On::Compute,
          [trainer = trainer, learning_rate, numbers = numbers_from(info[1])] {
            const double grad_norm = trainer->update(learning_rate, numbers).grad_norm;
            return Updated{numbers, grad_norm};
          },
          [](Napi::Env env, const Updated& updated) {
            auto object = Napi::Object::New(env);
            object["numbers"] = to_numbers(env, updated.numbers);
            object["gradNorm"] = Napi::Number::New(env, updated.grad_norm);
            return object;
          });
    });
  }

  Napi::Value broadcast(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&] { return run(info, [](model::Training& trainer) { trainer.broadcast(); }); });
  }

  Napi::Value broadcast_buffers(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&] { return run(info, [](model::Training& trainer) { trainer.broadcast_buffers(); }); });
  }

  Napi::Value checksum(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute, [trainer = trainer] { return trainer->checksum(); },
          [](Napi::Env env, uint32_t checksum) { return Napi::Number::New(env, checksum); });
    });
  }

  Napi::ObjectReference ema_;
};

Napi::Value create_trainer(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::shared_ptr<model::Model> model = ModelWrap::unwrap(info[0]);
    model::TrainingOptions options = options_from(info[1].As<Napi::Object>());
    return run_async(
        info.Env(), On::Compute, [model, options] { return std::make_shared<model::Training>(model, options); },
        [](Napi::Env env, std::shared_ptr<model::Training> trainer) {
          auto external = Napi::External<std::shared_ptr<model::Training>>::New(env, &trainer);
          return Environment::of(env).trainer_class.New({external});
        });
  });
}

// saveModel(descriptor, model, metadata, trainer | null, options?)
Napi::Value save_model(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    auto file = std::make_shared<checkpoint::Descriptor>(info[0].As<Napi::Number>().Int32Value());
    std::shared_ptr<model::Model> model = ModelWrap::unwrap(info[1]);
    checkpoint::Value metadata = from_js(info[2]);
    std::shared_ptr<model::Training> trainer;
    if (info[3].IsObject()) trainer = Napi::ObjectWrap<TrainerWrap>::Unwrap(info[3].As<Napi::Object>())->trainer;
    model::SaveOptions options;
    if (info[4].IsObject()) {
      auto object = info[4].As<Napi::Object>();
      options.container = container_from(object.Get("container"));
      options.dtype = weights_dtype_from(object.Get("dtype"));
      if (object.Has("classifier")) options.weights.with_classifier = object.Get("classifier").ToBoolean();
      options.weights.timm_names = object.Get("names").ToString().Utf8Value() == "timm";
    }
    return run_async(
        info.Env(), On::Compute,
        [file, model, metadata, trainer, options] {
          model::save(*file, *model, metadata, trainer.get(), options);
          return std::monostate();
        },
        to_undefined);
  });
}

}  // namespace

void export_trainer(Napi::Env env, Napi::Object exports) {
  TrainerWrap::define(env);
  exports["createTrainer"] = Napi::Function::New<create_trainer>(env, "createTrainer");
  exports["saveModel"] = Napi::Function::New<save_model>(env, "saveModel");
}

}  // namespace visiontorch::binding
