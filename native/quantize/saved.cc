#include "quantize/saved.h"

#include <ATen/ATen.h>

#include <atomic>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "checkpoint/dtype.h"
#include "checkpoint/storages.h"
#include "quantize/layers.h"
#include "runtime/error.h"
#include "runtime/parallel.h"
#include "runtime/text.h"

namespace visiontorch::quantize {

using checkpoint::Value;

namespace {

constexpr int64_t kVersion = 1;
constexpr std::string_view kWeightScale = ".weight_scale", kInputScale = ".input_scale",
                           kZeroPoint = ".input_zero_point";

[[noreturn]] void refuse(const std::string& what) {
  throw Error("ERR_CHECKPOINT_MISMATCH",
              "the quantized weights are damaged: " + what + ". Quantize the float checkpoint again");
}

// The tensors of the dictionary by name. Each must be used once.
class Scales {
 public:
  explicit Scales(const Value& dictionary) {
    for (const auto& [key, value] : dictionary.as_dict()) {
      const std::string& name = key.as_string();
      if (name == "version") {
        if (value.as_int() != kVersion)
          throw Error("ERR_CHECKPOINT_MISMATCH", "the file's quantization has version " +
                                                     std::to_string(value.as_int()) + ", expected " +
                                                     std::to_string(kVersion) + ". Update visiontorch");
      } else if (value.is_tensor()) {
        tensors_.emplace(name, value.as_tensor());
      }
    }
  }

  // Returns the tensor with this name. Throws unless it exists and has this type and shape.
  at::Tensor take(const std::string& name, at::ScalarType type, at::IntArrayRef sizes) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) refuse("expected " + printable(name) + ", got nothing");
    at::Tensor tensor = std::move(found->second);
    tensors_.erase(found);
    if (tensor.scalar_type() != type || tensor.sizes() != sizes)
      refuse(printable(name) + ": expected " + shown(type, sizes) + ", got " +
             shown(tensor.scalar_type(), tensor.sizes()));
    return tensor.contiguous();
  }
  // Checks that the numbers are positive and finite and have a finite reciprocal.
  at::Tensor take_scale(const std::string& name, at::IntArrayRef sizes) {
    at::Tensor scale = take(name, at::kFloat, sizes);
    const auto* values = scale.const_data_ptr<float>();
    for (int64_t i = 0; i < scale.numel(); i++)
      if (!std::isfinite(values[i]) || !std::isfinite(1 / values[i]) || values[i] <= 0)
        refuse(printable(name) + ": expected finite positive numbers, got " + std::to_string(values[i]));
    return scale;
  }
  void expect_none() const {
    if (!tensors_.empty()) refuse("no layer is stored in integers for " + printable(tensors_.begin()->first));
  }

 private:
  static std::string shown(at::ScalarType type, at::IntArrayRef sizes) {
    const checkpoint::DType* known = checkpoint::find_dtype(type);
    std::string text = (known ? std::string(known->name) : "another type") + " of shape [", separator;
    for (const int64_t size : sizes) text += std::exchange(separator, ", ") + std::to_string(size);
    return text + "]";
  }

  std::map<std::string, at::Tensor> tensors_;
};

// Returns the weight, which was converted to float32, as the integers that it must contain. In one pass, because the
// largest layers have hundreds of megabytes.
at::Tensor integers(const Layer& layer) {
  const at::Tensor weight = layer.weight().detach().contiguous();
  at::Tensor values = at::empty(weight.sizes(), at::kChar);
  const auto* from = weight.const_data_ptr<float>();
  auto* to = values.mutable_data_ptr<int8_t>();
  std::atomic<bool> all_integers = true;
  constexpr int64_t kGrain = 1 << 16;
  parallel_ranges(weight.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      if (!(from[i] >= -127 && from[i] <= 127) || from[i] != std::trunc(from[i])) {
        all_integers = false;
        return;
      }
      to[i] = static_cast<int8_t>(from[i]);
    }
  });
  if (!all_integers) refuse(layer.name + ".weight: expected integers from -127 to 127");
  return values;
}

// The batch norm of a quantized layer must have been folded into its weight.
bool is_folded(const Layer& layer) {
  if (!layer.norm) return true;
  const nn::BatchNorm2d& norm = *layer.norm;
  const at::Tensor factor = norm.weight.detach() / (norm.running_var + norm.eps).sqrt();
  return at::allclose(factor, at::ones_like(factor), 0, 1e-5) && norm.running_mean.eq(0).all().item<bool>();
}

}  // namespace

Value quantized_weights(const Value& state_dict, const nn::Quantization& quantization) {
  Value::Dict items = state_dict.as_dict();
  for (auto& [key, value] : items) {
    constexpr std::string_view kWeight = ".weight";
    std::string name = key.as_string();
    if (!name.ends_with(kWeight)) continue;
    name.resize(name.size() - kWeight.size());
    if (const auto found = quantization.layers.find(name); found != quantization.layers.end())
      value = Value(found->second.weight);
  }
  return Value::state_dict(std::move(items), state_dict.version());
}

Value scales(const nn::Quantization& quantization) {
  Value::Dict items = {{"version", kVersion}};
  for (const auto& [name, layer] : quantization.layers) {
    items.emplace_back(name + std::string(kWeightScale), layer.weight_scale);
    items.emplace_back(name + std::string(kInputScale), at::scalar_tensor(layer.input.scale, at::kFloat));
    items.emplace_back(name + std::string(kZeroPoint), at::scalar_tensor(layer.input.zero_point, at::kByte));
  }
  return Value::dict(std::move(items));
}

nn::Quantization load(nn::Network& network, const checkpoint::Match& match, checkpoint::File& file) {
  std::set<std::string> in_integers;  // tensors of the network
  const std::vector<nn::Entry> entries = network.entries();
  for (size_t i = 0; i < entries.size(); i++)
    if (match.values[i] && match.values[i]->as_opaque<checkpoint::TensorSpec>()->dtype == at::kChar)
      in_integers.insert(entries[i].name);
  const Value* dictionary = file.content().find(kKey);
  nn::Quantization result;
  if (dictionary == nullptr && in_integers.empty()) return result;
  if (dictionary == nullptr || !dictionary->is_dict()) refuse("expected the scales of its layers in 'quantization'");
  Scales scales(file.read(*dictionary));
  for (const Layer& layer : layers(network)) {
    if (in_integers.erase(layer.name + ".weight") == 0) continue;
    const QuantizedWeight weight{integers(layer),
                                 scales.take_scale(layer.name + std::string(kWeightScale), {layer.weight().size(0)})};
    const float input_scale = scales.take_scale(layer.name + std::string(kInputScale), {}).item<float>();
    const auto zero_point = scales.take(layer.name + std::string(kZeroPoint), at::kByte, {}).item<uint8_t>();
    if (!is_folded(layer)) refuse("the batch norm after " + layer.name + ": expected one that changes nothing");
    const at::Tensor* bias = layer.bias();
    result.layers.emplace(
        layer.name, nn::QuantizedLayer{.input = {input_scale, zero_point},
                                       .weight = weight.values,
                                       .weight_scale = weight.scale,
                                       .bias = bias ? bias->detach().clone() : at::zeros({weight.values.size(0)})});
    dequantize_(layer.weight(), weight.scale);
  }
  if (!in_integers.empty()) refuse(printable(*in_integers.begin()) + ": expected floating-point numbers, got integers");
  scales.expect_none();
  return result;
}

}  // namespace visiontorch::quantize
