#include "checkpoint/state_dict.h"

#include <ATen/ATen.h>

#include <atomic>
#include <bit>
#include <string_view>

#include "checkpoint/names.h"
#include "checkpoint/storages.h"
#include "nn/timm_names.h"
#include "runtime/error.h"
#include "runtime/parallel.h"

namespace visiontorch::checkpoint {

namespace {

// Reshapes a tensor for an entry whose shape is compatible.
at::Tensor adapted(const at::Tensor& source, const nn::Entry& entry) {
  if (source.sizes() == entry.tensor->sizes()) return source;
  return entry.is_positions ? nn::interpolate_positions(source, entry.tensor->size(1))
                            : source.reshape(entry.tensor->sizes());
}

// A number is not finite if and only if all bits of its exponent are set.
bool is_finite(const float* values, int64_t count) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t found = 0;
  for (int64_t i = 0; i < count; i++) {
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    found |= (bits & kExponent) == kExponent ? 1U : 0U;
  }
  return found == 0;
}

bool is_finite(const at::Tensor& tensor) {
  if (tensor.scalar_type() != at::kFloat) return true;
  const auto* values = tensor.const_data_ptr<float>();
  std::atomic<bool> finite = true;
  parallel_ranges(tensor.numel(), int64_t{1} << 16, [&](int64_t begin, int64_t end) {
    if (!is_finite(values + begin, end - begin)) finite = false;
  });
  return finite;
}

}  // namespace

void load_state_dict(nn::Network& network, const Match& match, File& file) {
  std::vector<nn::Entry> entries = network.entries();
  std::vector<const TensorSpec*> specs;
  std::vector<size_t> found;  // the entry of each tensor
  for (size_t i = 0; i < entries.size(); i++) {
    if (match.values[i] == nullptr) continue;
    specs.push_back(match.values[i]->as_opaque<TensorSpec>());
    found.push_back(i);
    const auto second = match.second_values.find(i);
    if (second == match.second_values.end()) continue;
    specs.push_back(second->second->as_opaque<TensorSpec>());
    found.push_back(i);
  }
  // float32 values are checked while they are read, other types after conversion.
  std::vector<std::atomic<bool>> not_finite(specs.size());
  std::vector<at::Tensor> read = file.read(specs, [&](size_t i, const char* data, size_t nbytes) {
    if (specs[i]->dtype != at::kFloat) return;
    if (!is_finite(reinterpret_cast<const float*>(data), static_cast<int64_t>(nbytes / sizeof(float))))
      not_finite[i] = true;
  });
  std::vector<at::Tensor> sources(entries.size());
  for (size_t i = 0; i < specs.size(); i++) {
    const nn::Entry& entry = entries[found[i]];
    at::Tensor value = std::move(read[i]).to(entry.tensor->scalar_type());
    if (not_finite[i] || (specs[i]->dtype != at::kFloat && !is_finite(value)))
      throw Error("ERR_NON_FINITE", entry.name + " holds a number that is not finite (NaN or infinity), and so would " +
                                        "every result. Use weights that were saved before training diverged");
    at::Tensor& source = sources[found[i]];
    source = source.defined() ? at::cat({source, at::zeros_like(source), value}) : std::move(value);
  }
  for (size_t i = 0; i < entries.size(); i++)
    if (sources[i].defined()) sources[i] = adapted(sources[i], entries[i]);
  // A classifier without a bias, and batch norms without a counter.
  for (size_t i = 0; i < entries.size(); i++) {
    at::Tensor& target = *entries[i].tensor;
    const bool is_bias =
        i + 1 == entries.size() && last_part(entries[i].name) == "bias" && match.values[i - 1] != nullptr;
    const bool is_counter = last_part(entries[i].name) == kCounter && target.is_meta();
    if (!sources[i].defined() && (is_bias || is_counter)) sources[i] = at::zeros(target.sizes(), target.scalar_type());
    if (!sources[i].defined()) continue;
    if ((target.is_cpu() || target.is_meta()) && !target.requires_grad()) {
      target = std::move(sources[i]);
    } else {
      target.detach().copy_(sources[i]);
    }
  }
  nn::for_each_layer(network.backbone, "", [](const std::string&, nn::Layer layer) {
    auto* found = std::get_if<nn::WindowAttention*>(&layer);
    if (found == nullptr) return;
    nn::WindowAttention& attention = **found;
    at::Tensor& index = attention.position_index;
    if (index.is_meta()) index = attention.relative_positions().reshape(index.sizes());
    if (attention.kind == nn::WindowAttention::Kind::SwinV2 && attention.coordinates.is_meta())
      attention.coordinates = attention.relative_coordinates();
  });
}

std::string first_non_finite(nn::Network& network) {
  for (const nn::Entry& entry : network.entries())
    if (!is_finite(entry.tensor->detach().cpu().contiguous())) return entry.name;
  return "";
}

Value state_dict(nn::Network& network, const StateDictOptions& options) {
  if (options.timm_names && !nn::is_in_timm(network))
    throw Error("ERR_INVALID_ARGUMENT",
                "names: timm has no " + network.architecture + " that computes the same. Use torchvision's names");
  Value::Dict items;
  for (const nn::Entry& entry : network.entries()) {
    if (entry.in_classifier && !options.with_classifier) continue;
    at::Tensor tensor = entry.tensor->detach().contiguous();
    if (!options.timm_names) {
      items.emplace_back(Value(entry.name), Value(std::move(tensor)));
    } else if (!is_constant(entry.name)) {
      std::string name = nn::timm_name(network, entry.name);
      if (std::string second = nn::timm_second_name(name); !second.empty()) {
        const std::vector<at::Tensor> thirds = tensor.chunk(3);
        items.emplace_back(Value(std::move(name)), Value(thirds[0].clone()));
        items.emplace_back(Value(std::move(second)), Value(thirds[2].clone()));
        continue;
      }
      tensor = tensor.reshape(nn::timm_shape(name, tensor.sizes()));
      items.emplace_back(Value(std::move(name)), Value(std::move(tensor)));
    }
  }
  return Value::state_dict(std::move(items), options.timm_names ? 0 : network.version);
}

}  // namespace visiontorch::checkpoint
