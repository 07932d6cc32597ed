#include "quantize/calibrator.h"

#include "binding/exports.h"
#include "binding/image.h"
#include "binding/model.h"
#include "binding/promise.h"
#include "runtime/error.h"

namespace visiontorch::binding {

namespace {

quantize::Method method_from(const std::string& name) {
  if (name == "minmax") return quantize::Method::MinMax;
  if (name == "percentile") return quantize::Method::Percentile;
  if (name == "mse") return quantize::Method::Mse;
  throw Error("ERR_INVALID_ARGUMENT", "method: expected minmax, percentile or mse");
}

// A calibrator and the model to quantize. Used on the compute thread only.
struct Calibration {
  std::shared_ptr<model::Model> model;
  quantize::Calibrator calibrator;

  Calibration(std::shared_ptr<model::Model> original, quantize::Method method)
      : model(std::move(original)), calibrator(model->network(), method) {}
};

// The JavaScript object that holds it (NativeCalibrator in lib/native/native.ts).
class CalibratorWrap : public Napi::ObjectWrap<CalibratorWrap> {
 public:
  static void define(Napi::Env env) {
    Napi::Function constructor = DefineClass(
        env, "NativeCalibrator",
        {InstanceMethod<&CalibratorWrap::use>("use"), InstanceMethod<&CalibratorWrap::observe>("observe"),
         InstanceMethod<&CalibratorWrap::measure>("measure"), InstanceMethod<&CalibratorWrap::layers>("layers"),
         InstanceMethod<&CalibratorWrap::quantize>("quantize")});
    Environment::of(env).calibrator_class = Napi::Persistent(constructor);
  }

  explicit CalibratorWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<CalibratorWrap>(info) {
    if (!info[0].IsExternal())
      throw Napi::TypeError::New(info.Env(), "NativeCalibrator: use createCalibrator() instead of new");
    calibration_ = *info[0].As<Napi::External<std::shared_ptr<Calibration>>>().Data();
  }

 private:
  // Runs use(calibrator, images) on the compute thread for the first images of a batch.
  template <class Use>
  Napi::Value with_images(const Napi::CallbackInfo& info, const Use& use) {
    return guard(info.Env(), [&]() -> Napi::Value {
      std::shared_ptr<image::ImageBatch> batch = unwrap_batch(info[0]);
      const int64_t count = info[1].As<Napi::Number>().Int64Value();
      return run_async(
          info.Env(), On::Compute,
          [calibration = calibration_, batch, count, use] {
            use(calibration->calibrator, batch->floats(count));
            return std::monostate();
          },
          to_undefined, keep_alive({info[0]}));
    });
  }

  // use([{ name, inputScale, inputZeroPoint, weightScale }])
  Napi::Value use(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      std::map<std::string, quantize::Calibrator::Scales> scales;
      auto layers = info[0].As<Napi::Array>();
      for (uint32_t i = 0; i < layers.Length(); i++) {
        const auto layer = Napi::Value(layers[i]).As<Napi::Object>();
        const auto weight = layer.Get("weightScale").As<Napi::Float32Array>();
        const nn::ByteScale input{layer.Get("inputScale").As<Napi::Number>().FloatValue(),
                                  static_cast<uint8_t>(layer.Get("inputZeroPoint").As<Napi::Number>().Uint32Value())};
        at::Tensor copy = at::empty({static_cast<int64_t>(weight.ElementLength())}, at::TensorOptions(at::kFloat));
        std::copy_n(weight.Data(), weight.ElementLength(), copy.mutable_data_ptr<float>());
        scales.insert_or_assign(layer.Get("name").As<Napi::String>(), quantize::Calibrator::Scales{input, copy});
      }
      return run_async(
          info.Env(), On::Compute,
          [calibration = calibration_, scales] {
            calibration->calibrator.use(scales);
            return std::monostate();
          },
          to_undefined);
    });
  }

  Napi::Value observe(const Napi::CallbackInfo& info) {
    return with_images(info,
                       [](quantize::Calibrator& calibrator, const at::Tensor& images) { calibrator.observe(images); });
  }

  Napi::Value measure(const Napi::CallbackInfo& info) {
    return with_images(info,
                       [](quantize::Calibrator& calibrator, const at::Tensor& images) { calibrator.measure(images); });
  }

  Napi::Value layers(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute, [calibration = calibration_] { return calibration->calibrator.layers(); },
          [](Napi::Env env, const std::vector<std::string>& names) {
            auto result = Napi::Array::New(env, names.size());
            for (uint32_t i = 0; i < names.size(); i++) result[i] = Napi::String::New(env, names[i]);
            return result;
          });
    });
  }

  // quantize(floatLayers)
  Napi::Value quantize(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      std::vector<std::string> float_layers;
      auto names = info[0].As<Napi::Array>();
      for (uint32_t i = 0; i < names.Length(); i++) float_layers.push_back(Napi::Value(names[i]).As<Napi::String>());
      return run_async(
          info.Env(), On::Compute,
          [calibration = calibration_, float_layers] {
            auto [network, quantization] = calibration->calibrator.quantize(float_layers);
            return std::make_shared<model::Model>(*calibration->model, std::move(network), std::move(quantization));
          },
          [](Napi::Env env, std::shared_ptr<model::Model> model) { return ModelWrap::create(env, std::move(model)); });
    });
  }

  std::shared_ptr<Calibration> calibration_;
};

// createCalibrator(model, method)
Napi::Value create_calibrator(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    std::shared_ptr<model::Model> model = ModelWrap::unwrap(info[0]);
    const quantize::Method method = method_from(info[1].As<Napi::String>());
    return run_async(
        info.Env(), On::Compute, [model, method] { return std::make_shared<Calibration>(model, method); },
        [](Napi::Env env, std::shared_ptr<Calibration> calibration) {
          auto external = Napi::External<std::shared_ptr<Calibration>>::New(env, &calibration);
          return Environment::of(env).calibrator_class.New({external});
        });
  });
}

}  // namespace

void export_calibrator(Napi::Env env, Napi::Object exports) {
  CalibratorWrap::define(env);
  exports["createCalibrator"] = Napi::Function::New<create_calibrator>(env, "createCalibrator");
}

}  // namespace visiontorch::binding
