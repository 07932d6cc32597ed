#include "binding/checkpoint.h"

#include <string>
#include <vector>

#include "binding/exports.h"
#include "binding/promise.h"
#include "binding/value.h"
#include "checkpoint/content.h"
#include "checkpoint/dtype.h"
#include "checkpoint/writer.h"
#include "runtime/error.h"

namespace visiontorch::binding {

namespace {

using checkpoint::Container;
using checkpoint::File;

using Handle = std::shared_ptr<File>;

const char* name_of(Container container) {
  switch (container) {
    case Container::Zip: return "zip";
    case Container::Legacy: return "legacy";
    case Container::Tar: return "tar";
    case Container::Safetensors: return "safetensors";
  }
  return "";
}

// NativeCheckpoint of lib/native/native.ts: a file that stays open until JavaScript disposes of it.
class Checkpoint : public Napi::ObjectWrap<Checkpoint> {
 public:
  explicit Checkpoint(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Checkpoint>(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
      throw Napi::TypeError::New(info.Env(), "NativeCheckpoint: use openCheckpoint() instead of new");
    }
    file_ = *info[0].As<Napi::External<Handle>>().Data();
  }

  const Handle& file() const {
    if (!file_) throw Error("ERR_DISPOSED", "the checkpoint was disposed. Open the file again");
    return file_;
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeCheckpoint",
                       {
                           InstanceAccessor<&Checkpoint::container>("container"),
                           InstanceMethod<&Checkpoint::inspect>("inspect"),
                           InstanceMethod<&Checkpoint::read>("read"),
                           InstanceMethod<&Checkpoint::dispose>("dispose"),
                       });
  }

 private:
  Napi::Value container(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&] { return Napi::String::New(info.Env(), name_of(file()->container())); });
  }

  Napi::Value inspect(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    return guard(env, [&] {
      // Built once, because a file can have very many tensors.
      const auto text = [&](const char* value) { return Napi::String::New(env, value); };
      const Napi::String name = text("name"), dtype = text("dtype"), shape = text("shape"), bytes = text("bytes"),
                         type = text("type");
      std::vector<Napi::String> dtypes;
      for (const checkpoint::DType& known : checkpoint::kDTypes)
        dtypes.push_back(Napi::String::New(env, std::string(known.name)));
      size_t count = 0;
      checkpoint::for_each_item(file()->content(),
                                [&](const checkpoint::Item& item) { count += item.tensor != nullptr; });
      auto tensors = Napi::Array::New(env, count), skipped = Napi::Array::New(env);
      uint32_t index = 0;
      checkpoint::for_each_item(file()->content(), [&](const checkpoint::Item& item) {
        Napi::HandleScope scope(env);
        auto object = Napi::Object::New(env);
        object.Set(name, string_to_js(env, item.name));
        if (item.tensor == nullptr) {
          object.Set(type, string_to_js(env, std::string(item.type)));
          skipped[skipped.Length()] = object;
          return;
        }
        const std::vector<int64_t>& sizes = item.tensor->sizes;
        auto array = Napi::Array::New(env, sizes.size());
        for (uint32_t d = 0; d < sizes.size(); d++) array[d] = Napi::Number::New(env, static_cast<double>(sizes[d]));
        object.Set(dtype,
                   dtypes[static_cast<size_t>(checkpoint::find_dtype(item.tensor->dtype) - checkpoint::kDTypes)]);
        object.Set(shape, array);
        object.Set(bytes, Napi::Number::New(env, static_cast<double>(item.tensor->nbytes())));
        tensors[index++] = object;
      });
      auto result = Napi::Object::New(env);
      result["tensors"] = tensors;
      result["skipped"] = skipped;
      result["metadata"] = to_js(env, checkpoint::metadata_of(file()->content()));
      return result.As<Napi::Value>();
    });
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    return guard(env, [&] {
      return run_async(
          env, On::Pool, [file = file()] { return file->read(file->content()); },
          [](Napi::Env env, checkpoint::Value value) { return to_js(env, value, TensorMemory::HandOver); });
    });
  }

  void dispose(const Napi::CallbackInfo&) { file_.reset(); }

  Handle file_;
};

Napi::Value open_checkpoint(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guard(env, [&] {
    std::string path = info[0].As<Napi::String>().Utf8Value();
    auto object = info[1].As<Napi::Object>();
    checkpoint::OpenOptions options{.verify = object.Get("verify").ToBoolean(), .mmap = object.Get("mmap").ToBoolean()};
    return run_async(
        env, On::Pool, [path, options] { return File::open(path, options); },
        [](Napi::Env env, Handle file) -> Napi::Value {
          return Environment::of(env).checkpoint_class.New({Napi::External<Handle>::New(env, &file)});
        });
  });
}

Napi::Value write_checkpoint(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guard(env, [&] {
    auto file = std::make_shared<checkpoint::Descriptor>(info[0].As<Napi::Number>().Int32Value());
    return run_async(
        env, On::Pool,
        [file, value = from_js(info[1]), container = container_from(info[2]), dtype = weights_dtype_from(info[3])] {
          checkpoint::write(*file, dtype ? checkpoint::converted(value, *dtype) : value, container);
          return std::monostate();
        },
        to_undefined);
  });
}

}  // namespace

std::shared_ptr<File> unwrap_checkpoint(Napi::Value value) {
  Napi::Env env = value.Env();
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(Environment::of(env).checkpoint_class.Value()))
    throw Error("ERR_INVALID_ARGUMENT", "checkpoint: expected an object that openCheckpoint() returned");
  return Checkpoint::Unwrap(value.As<Napi::Object>())->file();
}

Container container_from(Napi::Value value) {
  const std::string name = value.IsUndefined() ? "zip" : value.ToString().Utf8Value();
  for (Container container : {Container::Zip, Container::Legacy, Container::Safetensors})
    if (name == name_of(container)) return container;
  throw Error("ERR_INVALID_ARGUMENT", "container: expected zip, legacy or safetensors");
}

std::optional<at::ScalarType> weights_dtype_from(Napi::Value value) {
  if (value.IsUndefined()) return std::nullopt;
  const checkpoint::DType* dtype = checkpoint::find_dtype(std::string_view(value.ToString().Utf8Value()));
  if (dtype == nullptr || !c10::isFloatingType(dtype->type))
    throw Error("ERR_INVALID_ARGUMENT", "dtype: expected float32, float16 or bfloat16");
  return dtype->type;
}

void export_checkpoint(Napi::Env env, Napi::Object exports) {
  Environment::of(env).checkpoint_class = Napi::Persistent(Checkpoint::define(env));
  exports["openCheckpoint"] = Napi::Function::New<open_checkpoint>(env, "openCheckpoint");
  exports["writeCheckpoint"] = Napi::Function::New<write_checkpoint>(env, "writeCheckpoint");
}

}  // namespace visiontorch::binding
