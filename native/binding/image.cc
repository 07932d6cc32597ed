#include "binding/image.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "binding/exports.h"
#include "binding/promise.h"
#include "image/color.h"
#include "image/decode.h"
#include "image/transform.h"
#include "runtime/error.h"

namespace visiontorch::binding {

namespace {

using image::Adjust;
using image::Color;
using image::Filter;
using image::Image;
using image::Operation;
using image::Pixels;
using image::Rect;
using image::Transform;

constexpr napi_type_tag kBatchTag = {0x9d1f0a62c1b44e0eULL, 0xb7f0e2f5d9a34c11ULL};

[[noreturn]] void invalid(const std::string& message) { throw Error("ERR_INVALID_ARGUMENT", message); }

double to_number(const char* name, Napi::Value value) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  // Within this bound, every conversion to int is defined.
  if (!(std::abs(number) < 1e9)) invalid("'" + std::string(name) + "': expected a number below 1e9");
  return number;
}

Napi::Uint8Array to_uint8_array(const char* name, Napi::Value value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    invalid(std::string(name) + ": expected a Uint8Array");
  return value.As<Napi::Uint8Array>();
}

template <std::size_t N>
std::array<double, N> to_numbers(const char* name, Napi::Value value) {
  if (!value.IsArray() || value.As<Napi::Array>().Length() != N)
    invalid("'" + std::string(name) + "': expected " + std::to_string(N) + " numbers");
  std::array<double, N> result;
  for (std::uint32_t i = 0; i < N; i++) result[i] = to_number(name, value.As<Napi::Array>().Get(i));
  return result;
}

Rect to_rect(const char* name, Napi::Value value) {
  auto [left, top, width, height] = to_numbers<4>(name, value);
  return {int(left), int(top), int(width), int(height)};
}

// Reads the fields of one operation, with their names in lib/native/operation.ts.
class Fields {
 public:
  explicit Fields(Napi::Object object) : object_(object) {}

  std::string string(const char* name) const { return object_.Get(name).ToString(); }
  double number(const char* name) const { return to_number(name, object_.Get(name)); }
  template <std::size_t N>
  std::array<double, N> numbers(const char* name) const {
    return to_numbers<N>(name, object_.Get(name));
  }
  Napi::Value value(const char* name) const { return object_.Get(name); }
  Rect rect(const char* name) const { return to_rect(name, object_.Get(name)); }
  void color(const char* name, Color& color) const {
    auto values = numbers<3>(name);
    for (int c = 0; c < 3; c++) color[c] = std::uint8_t(std::clamp(values[c], 0.0, 255.0));
  }
  Filter filter() const {
    const std::string name = string("filter");
    if (name == "nearest") return Filter::Nearest;
    if (name == "bilinear") return Filter::Bilinear;
    if (name == "bicubic") return Filter::Bicubic;
    invalid("'filter': expected nearest, bilinear or bicubic, got '" + name + "'");
  }

 private:
  Napi::Object object_;
};

struct Adjustment {
  const char* name;
  Adjust::What what;
  bool needs_amount;
};
constexpr Adjustment kAdjustments[] = {
    {"brightness", Adjust::What::Brightness, true},
    {"contrast", Adjust::What::Contrast, true},
    {"saturation", Adjust::What::Saturation, true},
    {"sharpness", Adjust::What::Sharpness, true},
    {"hue", Adjust::What::Hue, true},
    {"posterize", Adjust::What::Posterize, true},
    {"solarize", Adjust::What::Solarize, true},
    {"autocontrast", Adjust::What::Autocontrast, false},
    {"equalize", Adjust::What::Equalize, false},
    {"invert", Adjust::What::Invert, false},
};

Transform parse_transform(Napi::Value value);

image::Mix parse_mix(const Fields& fields) {
  image::Mix mix{float(fields.number("weight")), {}};
  Napi::Value value = fields.value("chains");
  if (!value.IsArray()) invalid("'chains': expected an array");
  auto chains = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < chains.Length(); i++) {
    Napi::Value chain = chains.Get(i);
    if (!chain.IsObject()) invalid("'chains': expected objects with a weight and operations");
    const Fields parts(chain.As<Napi::Object>());
    mix.chains.push_back({float(parts.number("weight")), parse_transform(parts.value("operations"))});
  }
  return mix;
}

Operation parse_operation(const Fields& fields) {
  const std::string op = fields.string("op");
  if (op == "resize") {
    auto [width, height] = fields.numbers<2>("size");
    return image::Resize{fields.rect("from"), int(width), int(height), fields.rect("crop"), fields.filter()};
  }
  if (op == "pad") {
    auto [width, height] = fields.numbers<2>("size");
    auto [left, top] = fields.numbers<2>("at");
    image::Pad pad{int(width), int(height), int(left), int(top), {}};
    fields.color("fill", pad.fill);
    return pad;
  }
  if (op == "horizontalFlip") return image::HorizontalFlip{};
  if (op == "verticalFlip") return image::VerticalFlip{};
  if (op == "affine") {
    image::Affine affine{fields.numbers<6>("matrix"), fields.filter(), {}};
    fields.color("fill", affine.fill);
    return affine;
  }
  if (op == "erase") {
    image::Erase erase{fields.rect("box"), {}};
    fields.color("fill", erase.fill);
    return erase;
  }
  if (op == "mix") return parse_mix(fields);
  for (const auto& [name, what, needs_amount] : kAdjustments)
    if (op == name) return Adjust{what, needs_amount ? fields.number("amount") : 0};
  invalid("transform: unknown operation '" + op + "'");
}

Transform parse_transform(Napi::Value value) {
  if (!value.IsArray()) invalid("transform: expected an array of operations");
  auto array = value.As<Napi::Array>();
  Transform transform;
  for (std::uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value operation = array.Get(i);
    if (!operation.IsObject()) invalid("transform: expected an array of operations");
    transform.push_back(parse_operation(Fields(operation.As<Napi::Object>())));
  }
  return transform;
}

// Bounds the memory of resizing one side before the other, when an image one pixel wide can have this many rows.
constexpr std::int64_t kLargestSide = 1 << 18;

Pixels parse_pixels(Napi::Value value) {
  if (!value.IsObject()) invalid("pixels: expected { data, width, height, channels }");
  auto object = value.As<Napi::Object>();
  const auto bytes = to_uint8_array("pixels.data", object.Get("data"));
  const std::int64_t width = object.Get("width").ToNumber().Int64Value();
  const std::int64_t height = object.Get("height").ToNumber().Int64Value();
  const std::int64_t channels = object.Get("channels").ToNumber().Int64Value();
  if (width < 1 || height < 1 || width > kLargestSide || height > kLargestSide ||
      (channels != 1 && channels != 3 && channels != 4))
    invalid("pixels: expected a width and height from 1 to " + std::to_string(kLargestSide) +
            ", and 1, 3 or 4 channels");
  if (std::uint64_t(width) * std::uint64_t(height) != bytes.ElementLength() / std::uint64_t(channels) ||
      bytes.ElementLength() % std::uint64_t(channels) != 0)
    invalid("pixels.data: expected width x height x channels bytes, got " + std::to_string(bytes.ElementLength()));
  return {bytes.Data(), int(width), int(height), int(channels)};
}

// Node-API wrapper of image::ImageBatch. It reports the tensor's memory to V8, so that unreachable batches are
// collected in time.
class BatchWrap : public Napi::ObjectWrap<BatchWrap> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "ImageBatch",
                       {
                           InstanceAccessor<&BatchWrap::capacity>("capacity"),
                           InstanceAccessor<&BatchWrap::height>("height"),
                           InstanceAccessor<&BatchWrap::width>("width"),
                           InstanceMethod<&BatchWrap::set>("set"),
                           InstanceMethod<&BatchWrap::set_tensor>("setTensor"),
                           InstanceMethod<&BatchWrap::get_tensor>("getTensor"),
                           InstanceMethod<&BatchWrap::mix>("mix"),
                       });
  }

  explicit BatchWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<BatchWrap>(info) {
    guard(info.Env(), [&] {
      const std::int64_t capacity = positive(info, 0, "capacity", 1 << 20);
      const std::int64_t height = positive(info, 1, "height", 1 << 14), width = positive(info, 2, "width", 1 << 14);
      std::optional<image::ByteScale> bytes;
      if (info[6].IsObject()) {
        const auto object = info[6].As<Napi::Object>();
        bytes = image::ByteScale{static_cast<float>(to_number("scale", object.Get("scale"))),
                                 static_cast<std::uint8_t>(object.Get("zeroPoint").ToNumber().Uint32Value())};
      }
      batch =
          std::make_shared<image::ImageBatch>(int(capacity), int(height), int(width), to_numbers<3>("mean", info[3]),
                                              to_numbers<3>("std", info[4]), info[5].ToBoolean(), bytes);
      info.This().As<Napi::Object>().TypeTag(&kBatchTag);
      Napi::MemoryManagement::AdjustExternalMemory(info.Env(), std::int64_t(batch->tensor().nbytes()));
    });
  }

  void Finalize(Napi::BasicEnv env) override {
    if (batch) Napi::MemoryManagement::AdjustExternalMemory(env, -std::int64_t(batch->tensor().nbytes()));
  }

  std::shared_ptr<image::ImageBatch> batch;

 private:
  static std::int64_t positive(const Napi::CallbackInfo& info, std::size_t i, const char* name, std::int64_t max) {
    const std::int64_t value = info[i].IsNumber() ? info[i].As<Napi::Number>().Int64Value() : 0;
    if (value < 1 || value > max) invalid(std::string(name) + ": expected an integer from 1 to " + std::to_string(max));
    return value;
  }

  Napi::Value capacity(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), batch->capacity()); }
  Napi::Value height(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), batch->height()); }
  Napi::Value width(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), batch->width()); }

  Napi::Value set(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const int index = info[0].ToNumber().Int32Value();
      auto work = [batch = batch, index, pixels = parse_pixels(info[1]), transform = parse_transform(info[2])] {
        batch->set(index, image::apply(pixels, transform));
        return std::monostate{};
      };
      return run_async(info.Env(), On::Pool, std::move(work), to_undefined,
                       keep_alive({info.This(), info[1].As<Napi::Object>().Get("data")}));
    });
  }

  Napi::Value set_tensor(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
        invalid("values: expected a Float32Array");
      auto values = info[0].As<Napi::Float32Array>();
      batch->set_tensor({values.Data(), values.ElementLength()});
      return info.Env().Undefined();
    });
  }

  Napi::Value get_tensor(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const std::vector<float> values = batch->get_tensor(info[0].ToNumber().Int32Value());
      auto result = Napi::Float32Array::New(info.Env(), values.size());
      std::copy(values.begin(), values.end(), result.Data());
      return result;
    });
  }

  Napi::Value mix(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      const int count = info[0].ToNumber().Int32Value();
      const double weight = info[1].ToNumber().DoubleValue();
      if (!(weight >= 0 && weight <= 1)) invalid("weight: expected a number from 0 to 1");
      std::optional<Rect> box;
      if (!info[2].IsNull()) box = to_rect("box", info[2]);
      auto work = [batch = batch, count, weight, box] {
        if (box)
          batch->cutmix(count, *box);
        else
          batch->mixup(count, weight);
        return std::monostate{};
      };
      return run_async(info.Env(), On::Pool, std::move(work), to_undefined, keep_alive({info.This()}));
    });
  }
};

Napi::Uint8Array to_bytes(Napi::Env env, const std::uint8_t* data, std::size_t size) {
  auto bytes = Napi::Uint8Array::New(env, size);
  std::copy_n(data, size, bytes.Data());
  return bytes;
}

Napi::Value cmyk_to_rgb(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto data = to_uint8_array("data", info[0]);
    auto work = [cmyk = data.Data(), pixels = data.ElementLength() / 4] {
      std::vector<std::uint8_t> rgb(pixels * 3);
      image::cmyk_to_rgb(cmyk, pixels, rgb.data());
      return rgb;
    };
    auto convert = [](Napi::Env env, const std::vector<std::uint8_t>& rgb) -> Napi::Value {
      return to_bytes(env, rgb.data(), rgb.size());
    };
    return run_async(info.Env(), On::Pool, std::move(work), convert, keep_alive({data}));
  });
}

// Returns { data, width, height, channels }; `data` is the image's own memory and is freed with it.
Napi::Value to_pixels(Napi::Env env, Image image) {
  auto* owned = new Image(std::move(image));
  auto result = Napi::Object::New(env);
  result["data"] = Napi::Buffer<std::uint8_t>::New(
      env, owned->data(), owned->size(), [](Napi::BasicEnv, std::uint8_t*, Image* owner) { delete owner; }, owned);
  result["width"] = Napi::Number::New(env, owned->width());
  result["height"] = Napi::Number::New(env, owned->height());
  result["channels"] = Napi::Number::New(env, 3);
  return result;
}

Napi::Value to_pixels_or_null(Napi::Env env, std::optional<Image> image) {
  return image ? to_pixels(env, std::move(*image)) : env.Null();
}

// Frees the memory of a Uint8Array now instead of at some later garbage collection. Other arrays may share the memory
// of one that does not span its whole buffer: that one stays.
Napi::Value release(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto data = to_uint8_array("data", info[0]);
    Napi::ArrayBuffer buffer = data.ArrayBuffer();
    if (data.ByteLength() == buffer.ByteLength()) buffer.Detach();
    return info.Env().Undefined();
  });
}

Napi::Value decode_file(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    auto work = [path = info[0].ToString().Utf8Value(), most_pixels = std::int64_t(to_number("mostPixels", info[1])),
                 auto_orient = info[2].ToBoolean().Value()] {
      return image::decode_file(path, most_pixels, auto_orient);
    };
    return run_async(info.Env(), On::Pool, std::move(work), to_pixels_or_null);
  });
}

Napi::Value decode_bytes(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto file = to_uint8_array("file", info[0]);
    auto work = [data = file.Data(), size = file.ElementLength(),
                 most_pixels = std::int64_t(to_number("mostPixels", info[1])),
                 auto_orient = info[2].ToBoolean().Value()]() -> std::optional<Image> {
      return image::decode({data, size}, most_pixels, auto_orient);
    };
    return run_async(info.Env(), On::Pool, std::move(work), to_pixels_or_null, keep_alive({file}));
  });
}

Napi::Value transform_pixels(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    auto work = [pixels = parse_pixels(info[0]), transform = parse_transform(info[1])] {
      return image::apply(pixels, transform);
    };
    auto convert = [](Napi::Env env, const Image& image) -> Napi::Value {
      auto data = to_bytes(env, image.data(), image.size());
      auto result = Napi::Object::New(env);
      result["data"] = data;
      result["width"] = Napi::Number::New(env, image.width());
      result["height"] = Napi::Number::New(env, image.height());
      return result;
    };
    return run_async(info.Env(), On::Pool, std::move(work), convert,
                     keep_alive({info[0].As<Napi::Object>().Get("data")}));
  });
}

}  // namespace

std::shared_ptr<image::ImageBatch> unwrap_batch(Napi::Value value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kBatchTag)) invalid("batch: expected an ImageBatch");
  return BatchWrap::Unwrap(value.As<Napi::Object>())->batch;
}

void export_image(Napi::Env env, Napi::Object exports) {
  exports["ImageBatch"] = BatchWrap::define(env);
  exports["transformPixels"] = Napi::Function::New<transform_pixels>(env, "transformPixels");
  exports["release"] = Napi::Function::New<release>(env, "release");
  exports["cmykToRgb"] = Napi::Function::New<cmyk_to_rgb>(env, "cmykToRgb");
  exports["decodeFile"] = Napi::Function::New<decode_file>(env, "decodeFile");
  exports["decodeBytes"] = Napi::Function::New<decode_bytes>(env, "decodeBytes");
}

}  // namespace visiontorch::binding
