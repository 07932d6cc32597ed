#include "runtime/libtorch.h"

#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/headeronly/version.h>

namespace visiontorch {

// This code relies on the operator schemas and headers of these versions; docs/libtorch.md says which were tested.
static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 11 && TORCH_VERSION_MINOR <= 14,
              "visiontorch compiles against LibTorch 2.11 to 2.14");

std::string libtorch_version() {
  const std::string config = at::show_config();
  const std::string key = "TORCH_VERSION=";
  const auto start = config.find(key);
  if (start == std::string::npos) return "unknown";
  const auto value = start + key.size();
  return config.substr(value, config.find_first_of(", \n", value) - value);
}

std::string libtorch_path() {
  Dl_info info;
  return dladdr(reinterpret_cast<void*>(&at::show_config), &info) != 0 ? info.dli_fname : "unknown";
}

}  // namespace visiontorch
