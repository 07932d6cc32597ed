#include "quantize/simulate.h"

#include <unordered_map>

#include "quantize/histogram.h"
#include "quantize/layers.h"

namespace visiontorch::quantize {

eager::InputHook round_inputs(nn::Network& network, const nn::Quantization& quantization) {
  std::unordered_map<const void*, const nn::QuantizedLayer*> by_weight;
  for (const Layer& layer : layers(network))
    if (auto found = quantization.layers.find(layer.name); found != quantization.layers.end())
      by_weight.emplace(layer.weight().const_data_ptr(), &found->second);
  return [by_weight](const at::Tensor& weight, const at::Tensor& input) {
    const auto found = by_weight.find(weight.const_data_ptr());
    return found == by_weight.end() ? input : fake_quantize(input, found->second->input);
  };
}

}  // namespace visiontorch::quantize
