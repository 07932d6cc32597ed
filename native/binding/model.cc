#include "binding/model.h"

#include <ATen/ATen.h>

#include "binding/checkpoint.h"
#include "binding/exports.h"
#include "binding/image.h"
#include "binding/promise.h"
#include "binding/value.h"
#include "runtime/error.h"

namespace visiontorch::binding {

namespace {

Napi::Array to_array(Napi::Env env, const std::vector<std::string>& items) {
  auto array = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); i++) array[i] = Napi::String::New(env, items[i]);
  return array;
}

Napi::Array to_array(Napi::Env env, const std::vector<int64_t>& items) {
  auto array = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); i++) array[i] = Napi::Number::New(env, static_cast<double>(items[i]));
  return array;
}

Napi::Value to_object(Napi::Env env, const checkpoint::Match& match) {
  auto result = Napi::Object::New(env);
  result["loaded"] = to_array(env, match.loaded);
  result["missing"] = to_array(env, match.missing);
  result["unexpected"] = to_array(env, match.unexpected);
  auto mismatched = Napi::Array::New(env, match.mismatched.size());
  for (uint32_t i = 0; i < match.mismatched.size(); i++) {
    auto item = Napi::Object::New(env);
    item["name"] = Napi::String::New(env, match.mismatched[i].name);
    item["expected"] = to_array(env, match.mismatched[i].expected);
    item["got"] = to_array(env, match.mismatched[i].got);
    mismatched[i] = item;
  }
  result["mismatched"] = mismatched;
  result["skipped"] = to_array(env, match.skipped);
  result["wrapper"] = Napi::String::New(env, match.wrapper);
  result["prefix"] = Napi::String::New(env, match.prefix);
  result["averaged"] = Napi::Boolean::New(env, match.averaged);
  result["others"] = to_array(env, match.others);
  result["classifier"] = Napi::String::New(env, match.classifier);
  result["numClasses"] =
      match.num_classes ? Napi::Number::New(env, static_cast<double>(*match.num_classes)) : env.Null();
  auto head = Napi::Array::New(env, match.head.size());
  for (uint32_t i = 0; i < match.head.size(); i++) {
    auto item = Napi::Object::New(env);
    item["name"] = Napi::String::New(env, match.head[i].name);
    item["shape"] = to_array(env, match.head[i].shape);
    head[i] = item;
  }
  result["head"] = head;
  return result;
}

checkpoint::MatchOptions match_options_from(Napi::Value value) {
  using Classifier = checkpoint::MatchOptions::Classifier;
  auto object = value.As<Napi::Object>();
  const std::string classifier = object.Get("classifier").As<Napi::String>();
  return {.averaged = object.Get("averaged").ToBoolean(),
          .classifier = classifier == "whole"    ? Classifier::Whole
                        : classifier == "hidden" ? Classifier::Hidden
                                                 : Classifier::None};
}

Napi::Value to_objects(Napi::Env env, const std::vector<nn::LayerSummary>& layers) {
  auto result = Napi::Array::New(env, layers.size());
  for (uint32_t i = 0; i < layers.size(); i++) {
    auto item = Napi::Object::New(env);
    item["name"] = Napi::String::New(env, layers[i].name);
    item["type"] = Napi::String::New(env, layers[i].type);
    item["outputShape"] = to_array(env, layers[i].output_shape);
    item["parameters"] = Napi::Number::New(env, static_cast<double>(layers[i].parameters));
    item["multiplyAdds"] = Napi::Number::New(env, static_cast<double>(layers[i].multiply_adds));
    result[i] = item;
  }
  return result;
}

// Reads a number, a boolean, an array of booleans or rows of integers. lib/model/network-options.ts has checked the
// type.
nn::Options::Value option_from(Napi::Value value) {
  if (value.IsBoolean()) return value.ToBoolean().Value();
  if (value.IsNumber()) return value.As<Napi::Number>().DoubleValue();
  auto array = value.As<Napi::Array>();
  std::vector<bool> flags;
  nn::Options::Rows rows;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value item = array[i];
    if (!item.IsArray()) {
      flags.push_back(item.ToBoolean());
      continue;
    }
    auto row = item.As<Napi::Array>();
    rows.emplace_back();
    for (uint32_t j = 0; j < row.Length(); j++)
      rows.back().push_back(Napi::Value(row[j]).As<Napi::Number>().Int64Value());
  }
  if (!rows.empty()) return rows;
  return flags;
}

nn::Options options_from(Napi::Object object) {
  nn::Options options;
  for (const auto& [key, value] : object)
    if (const Napi::Value option = value; !option.IsUndefined())
      options.set(key.As<Napi::String>(), option_from(option));
  return options;
}

at::ScalarType dtype_from(const std::string& name) {
  return name == "int8" ? at::kChar : name == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

const char* name_of(at::ScalarType dtype) {
  return dtype == at::kChar ? "int8" : dtype == at::kBFloat16 ? "bfloat16" : "float32";
}

Napi::Value create_model(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    std::string architecture = info[0].As<Napi::String>();
    int64_t num_classes = info[1].As<Napi::Number>().Int64Value();
    std::optional<uint64_t> seed;
    if (info[2].IsNumber()) seed = static_cast<uint64_t>(info[2].As<Napi::Number>().Int64Value());
    nn::Options options = options_from(info[3].As<Napi::Object>());
    return run_async(
        env, On::Compute, [=] { return std::make_shared<model::Model>(architecture, num_classes, options, seed); },
        [](Napi::Env e, std::shared_ptr<model::Model> model) { return ModelWrap::create(e, std::move(model)); });
  });
}

// matchWeights(checkpoint, architecture, networkOptions, matchOptions)
Napi::Value match_weights(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::shared_ptr<checkpoint::File> file = unwrap_checkpoint(info[0]);
    const std::string architecture = info[1].As<Napi::String>();
    const nn::Options options = options_from(info[2].As<Napi::Object>());
    const checkpoint::MatchOptions match_options = match_options_from(info[3]);
    return run_async(
        info.Env(), On::Pool,
        [=] {
          nn::Network network = nn::create(architecture, /*num_classes=*/1, options);  // without memory
          return checkpoint::match_state_dict(network, file->content(), match_options);
        },
        [](Napi::Env env, const checkpoint::Match& match) { return to_object(env, match); });
  });
}

Napi::Value families(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    auto result = Napi::Array::New(env, nn::families().size());
    for (uint32_t i = 0; i < nn::families().size(); i++) {
      const nn::Family& family = nn::families()[i];
      auto item = Napi::Object::New(env);
      item["name"] = Napi::String::New(env, family.name);
      item["architectures"] = to_array(env, family.architectures);
      std::vector<int64_t> features;
      bool classifies_features = true;
      for (const std::string& name : family.architectures) {
        const nn::Shape shape = nn::output_shape(nn::describe(name, 1, {}).backbone, {3, 224, 224});
        features.push_back(shape[0]);
        classifies_features = classifies_features && shape.size() == 1;
      }
      item["features"] = to_array(env, features);
      item["classifiesFeatures"] = Napi::Boolean::New(env, classifies_features);
      item["options"] = to_array(env, family.options);
      item["classifierLayer"] = Napi::String::New(env, family.classifier_layer);
      result[i] = item;
    }
    return result;
  });
}

}  // namespace

ModelWrap::Facts ModelWrap::Facts::of(model::Model& model) {
  Facts facts{.num_classes = model.num_classes(), .device = model.device().str(), .dtype = name_of(model.dtype())};
  for (model::Model::Entry& entry : model.entries()) {
    if (entry.is_parameter) facts.parameter_count += c10::multiply_integers(entry.sizes);
    facts.entries.push_back({std::move(entry.name), std::move(entry.sizes), entry.type == at::kLong});
  }
  if (model.is_quantized())
    for (std::string& name : model.quantizable_layers())
      (model.quantization().layers.contains(name) ? facts.int8_layers : facts.float_layers).push_back(std::move(name));
  facts.input_bytes = model.input_bytes();
  return facts;
}

void ModelWrap::define(Napi::Env env) {
  Napi::Function constructor = DefineClass(
      env, "NativeModel",
      {InstanceAccessor<&ModelWrap::num_classes>("numClasses"),
       InstanceAccessor<&ModelWrap::parameter_count>("parameterCount"), InstanceAccessor<&ModelWrap::device>("device"),
       InstanceAccessor<&ModelWrap::dtype>("dtype"), InstanceAccessor<&ModelWrap::quantization>("quantization"),
       InstanceAccessor<&ModelWrap::input_bytes>("inputBytes"), InstanceMethod<&ModelWrap::summary>("summary"),
       InstanceMethod<&ModelWrap::entries>("entries"),
       InstanceMethod<&ModelWrap::replace_classifier>("replaceClassifier"),
       InstanceMethod<&ModelWrap::load_state_dict>("loadStateDict"),
       InstanceMethod<&ModelWrap::first_non_finite>("firstNonFinite"),
       InstanceMethod<&ModelWrap::state_dict>("stateDict"), InstanceMethod<&ModelWrap::forward>("forward"),
       InstanceMethod<&ModelWrap::to>("to"), InstanceMethod<&ModelWrap::dispose>("dispose")});
  Environment::of(env).model_class = Napi::Persistent(constructor);
}

Napi::Object ModelWrap::create(Napi::Env env, std::shared_ptr<model::Model> model) {
  return Environment::of(env).model_class.New({Napi::External<std::shared_ptr<model::Model>>::New(env, &model)});
}

std::shared_ptr<model::Model> ModelWrap::unwrap(Napi::Value value) {
  return Napi::ObjectWrap<ModelWrap>::Unwrap(value.As<Napi::Object>())->live();
}

ModelWrap::ModelWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelWrap>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "NativeModel: use createModel() instead of new");
  model_ = *info[0].As<Napi::External<std::shared_ptr<model::Model>>>().Data();
  note(info.Env(), Facts::of(*model_));
}

ModelWrap::~ModelWrap() {
  if (reported_bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(Env(), -reported_bytes_);
}

std::shared_ptr<model::Model> ModelWrap::live() const {
  if (!model_) throw Error("ERR_DISPOSED", "the model was disposed and cannot be used any more");
  return model_;
}

void ModelWrap::note(Napi::Env env, Facts facts) {
  facts_ = std::move(facts);
  if (!model_) return;
  const int64_t bytes = facts_.parameter_count * static_cast<int64_t>(sizeof(float));
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes_);
  reported_bytes_ = bytes;
}

template <class Change>
Napi::Value ModelWrap::change_model(const Napi::CallbackInfo& info, Change change, KeepAlive kept) {
  kept.push_back(Napi::Persistent(info.This().As<Napi::Object>()));
  return run_async(
      info.Env(), On::Compute,
      [model = live(), change = std::move(change)] {
        change(*model);
        return Facts::of(*model);
      },
      [this](Napi::Env env, Facts facts) {
        note(env, std::move(facts));
        return env.Undefined();
      },
      std::move(kept));
}

Napi::Value ModelWrap::num_classes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(facts_.num_classes));
}
Napi::Value ModelWrap::parameter_count(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(facts_.parameter_count));
}
Napi::Value ModelWrap::device(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), facts_.device); }
Napi::Value ModelWrap::dtype(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), facts_.dtype); }

Napi::Value ModelWrap::quantization(const Napi::CallbackInfo& info) {
  if (facts_.int8_layers.empty()) return info.Env().Null();
  auto result = Napi::Object::New(info.Env());
  result["int8"] = to_array(info.Env(), facts_.int8_layers);
  result["float"] = to_array(info.Env(), facts_.float_layers);
  return result;
}

Napi::Value ModelWrap::input_bytes(const Napi::CallbackInfo& info) {
  if (!facts_.input_bytes) return info.Env().Null();
  auto result = Napi::Object::New(info.Env());
  result["scale"] = Napi::Number::New(info.Env(), facts_.input_bytes->scale);
  result["zeroPoint"] = Napi::Number::New(info.Env(), facts_.input_bytes->zero_point);
  return result;
}

Napi::Value ModelWrap::entries(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    Napi::Env env = info.Env();
    live();
    auto result = Napi::Array::New(env, facts_.entries.size());
    for (uint32_t i = 0; i < facts_.entries.size(); i++) {
      auto item = Napi::Object::New(env);
      item["name"] = Napi::String::New(env, facts_.entries[i].name);
      item["shape"] = to_array(env, facts_.entries[i].shape);
      item["dtype"] = Napi::String::New(env, facts_.entries[i].is_counter ? "int64" : "float32");
      result[i] = item;
    }
    return result;
  });
}

Napi::Value ModelWrap::summary(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const int64_t height = info[0].As<Napi::Number>().Int64Value(), width = info[1].As<Napi::Number>().Int64Value();
    const std::shared_ptr<model::Model> model = live();
    // A new description, because the compute thread may be changing the model's own network.
    const nn::Network network = nn::describe(model->architecture(), facts_.num_classes, model->options());
    return to_objects(info.Env(), nn::summarize(network, height, width));
  });
}

Napi::Value ModelWrap::replace_classifier(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const int64_t num_classes = info[0].As<Napi::Number>().Int64Value();
    const auto seed = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
    return change_model(info, [=](model::Model& model) { model.replace_classifier(num_classes, seed); });
  });
}

Napi::Value ModelWrap::load_state_dict(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::shared_ptr<checkpoint::File> file = unwrap_checkpoint(info[0]);
    const checkpoint::MatchOptions options = match_options_from(info[1]);
    const bool strict = info[1].As<Napi::Object>().Get("strict").ToBoolean();
    return run_async(
        info.Env(), On::Compute,
        [model = live(), file, options, strict] { return model->load_state_dict(*file, options, strict); },
        [](Napi::Env env, const checkpoint::Match& match) { return to_object(env, match); });
  });
}

Napi::Value ModelWrap::first_non_finite(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    return run_async(
        info.Env(), On::Compute, [model = live()] { return model->first_non_finite(); },
        [](Napi::Env env, const std::string& name) -> Napi::Value {
          return name.empty() ? env.Null() : Napi::String::New(env, name);
        });
  });
}

Napi::Value ModelWrap::state_dict(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    return run_async(
        info.Env(), On::Compute,
        // A snapshot, because training may go on before JavaScript has read it.
        [model = live()] { return model::Model(*model).state_dict(); },
        [](Napi::Env env, checkpoint::Value value) { return to_js(env, value); });
  });
}

Napi::Value ModelWrap::forward(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::shared_ptr<image::ImageBatch> batch = unwrap_batch(info[0]);
    const int64_t count = info[1].As<Napi::Number>().Int64Value();
    const auto output =
        info[2].As<Napi::String>().Utf8Value() == "features" ? model::Output::Features : model::Output::Logits;
    return run_async(
        info.Env(), On::Compute,
        [model = live(), batch, count, output] {
          std::optional<nn::ByteScale> bytes;
          if (batch->bytes()) bytes = {batch->bytes()->scale, batch->bytes()->zero_point};
          return model->infer(batch->tensor().narrow(0, 0, count), output, bytes).contiguous();
        },
        [](Napi::Env env, at::Tensor result) {
          auto array = Napi::Float32Array::New(env, static_cast<size_t>(result.numel()));
          std::copy_n(result.const_data_ptr<float>(), result.numel(), array.Data());
          return array;
        },
        keep_alive({info[0]}));
  });
}

Napi::Value ModelWrap::to(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const std::string device = info[0].As<Napi::String>();
    const at::ScalarType dtype = dtype_from(info[1].As<Napi::String>());
    return change_model(info, [=](model::Model& model) {
      model.move_to(at::Device(device));
      model.set_dtype(dtype);
    });
  });
}

Napi::Value ModelWrap::dispose(const Napi::CallbackInfo& info) {
  model_.reset();
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), -reported_bytes_);
  reported_bytes_ = 0;
  return info.Env().Undefined();
}

void export_model(Napi::Env env, Napi::Object exports) {
  ModelWrap::define(env);
  exports["families"] = Napi::Function::New<families>(env, "families");
  exports["matchWeights"] = Napi::Function::New<match_weights>(env, "matchWeights");
  exports["createModel"] = Napi::Function::New<create_model>(env, "createModel");
}

}  // namespace visiontorch::binding
