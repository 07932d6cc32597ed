#include "binding/process_group.h"

#include <ATen/ATen.h>

#include "binding/exports.h"
#include "binding/promise.h"

namespace visiontorch::binding {

namespace {

using distributed::ProcessGroup;

std::string bytes_from(Napi::Value value) {
  auto array = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<const char*>(array.Data()), array.ByteLength()};
}

Napi::Value to_bytes(Napi::Env env, const std::string& bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(array.Data()));
  return array;
}

// The JavaScript object that holds a process group (NativeProcessGroup in lib/native/native.ts).
class ProcessGroupWrap : public Napi::ObjectWrap<ProcessGroupWrap> {
 public:
  static void define(Napi::Env env) {
    Napi::Function constructor = DefineClass(
        env, "NativeProcessGroup",
        {InstanceMethod<&ProcessGroupWrap::broadcast>("broadcast"),
         InstanceMethod<&ProcessGroupWrap::all_gather>("allGather"), InstanceMethod<&ProcessGroupWrap::sum>("sum"),
         InstanceMethod<&ProcessGroupWrap::close>("close"), InstanceMethod<&ProcessGroupWrap::fail>("fail")});
    Environment::of(env).process_group_class = Napi::Persistent(constructor);
  }

  explicit ProcessGroupWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ProcessGroupWrap>(info) {
    if (!info[0].IsExternal())
      throw Napi::TypeError::New(info.Env(), "NativeProcessGroup: use joinGroup() instead of new");
    group = *info[0].As<Napi::External<std::shared_ptr<ProcessGroup>>>().Data();
  }

  std::shared_ptr<ProcessGroup> group;

 private:
  Napi::Value broadcast(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute, [group = group, bytes = bytes_from(info[0])] { return group->broadcast(bytes); },
          to_bytes);
    });
  }

  Napi::Value all_gather(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute, [group = group, bytes = bytes_from(info[0])] { return group->all_gather(bytes); },
          [](Napi::Env env, const std::vector<std::string>& all) {
            auto result = Napi::Array::New(env, all.size());
            for (uint32_t i = 0; i < all.size(); i++) result[i] = to_bytes(env, all[i]);
            return result;
          });
    });
  }

  Napi::Value sum(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute,
          [group = group, numbers = numbers_from(info[0])] {
            group->sum(numbers);
            return numbers;
          },
          to_numbers);
    });
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute,
          [group = group] {
            group->close();
            return std::monostate();
          },
          to_undefined);
    });
  }

  Napi::Value fail(const Napi::CallbackInfo& info) {
    return guard(info.Env(), [&]() -> Napi::Value {
      return run_async(
          info.Env(), On::Compute,
          [group = group, message = std::string(info[0].As<Napi::String>())] {
            group->fail(message);
            return std::monostate();
          },
          to_undefined);
    });
  }
};

// joinGroup(options)
Napi::Value join_group(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    auto object = info[0].As<Napi::Object>();
    const auto integer = [&](const char* name) { return object.Get(name).As<Napi::Number>().Int64Value(); };
    distributed::GroupOptions options{.rank = static_cast<int>(integer("rank")),
                                      .size = static_cast<int>(integer("worldSize")),
                                      .address = object.Get("masterAddress").As<Napi::String>(),
                                      .port = static_cast<uint16_t>(integer("masterPort")),
                                      .timeout = std::chrono::milliseconds(integer("timeout")),
                                      .hosts_store = object.Get("hostsStore").ToBoolean(),
                                      .prefix = object.Get("prefix").As<Napi::String>()};
    return run_async(
        info.Env(), On::Compute, [options] { return std::make_shared<ProcessGroup>(options); },
        [](Napi::Env env, std::shared_ptr<ProcessGroup> group) {
          auto external = Napi::External<std::shared_ptr<ProcessGroup>>::New(env, &group);
          return Environment::of(env).process_group_class.New({external});
        });
  });
}

}  // namespace

std::shared_ptr<ProcessGroup> unwrap_group(Napi::Value value) {
  return Napi::ObjectWrap<ProcessGroupWrap>::Unwrap(value.As<Napi::Object>())->group;
}

at::Tensor numbers_from(Napi::Value value) {
  auto array = value.As<Napi::Float64Array>();
  return at::from_blob(array.Data(), {static_cast<int64_t>(array.ElementLength())}, at::kDouble).clone();
}

Napi::Value to_numbers(Napi::Env env, const at::Tensor& numbers) {
  const double* begin = numbers.const_data_ptr<double>();
  auto array = Napi::Float64Array::New(env, static_cast<size_t>(numbers.numel()));
  std::copy(begin, begin + numbers.numel(), array.Data());
  return array;
}

void export_process_group(Napi::Env env, Napi::Object exports) {
  ProcessGroupWrap::define(env);
  exports["joinGroup"] = Napi::Function::New<join_group>(env, "joinGroup");
}

}  // namespace visiontorch::binding
