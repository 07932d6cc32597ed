#include "quantize/simulate.h"

#include "quantize/histogram.h"
#include "quantize/layers.h"

namespace visiontorch::quantize {

Simulation::Simulation(nn::Network& network, const nn::Quantization& quantization) {
  for (const Layer& layer : layers(network))
    if (auto found = quantization.layers.find(layer.name); found != quantization.layers.end())
      by_weight_.emplace(layer.weight().const_data_ptr(), &found->second);
  input_hook_ = [this](const at::Tensor& weight, const at::Tensor& input) { return round(weight, input); };
  shortcut_hook_ = [this](const at::Tensor& first, const at::Tensor& last, const at::Tensor& input) {
    return by_weight_.contains(last.const_data_ptr()) ? round(first, input) : input;
  };
}

at::Tensor Simulation::round(const at::Tensor& weight, const at::Tensor& input) const {
  const auto found = by_weight_.find(weight.const_data_ptr());
  return found == by_weight_.end() ? input : fake_quantize(input, found->second->input);
}

}  // namespace visiontorch::quantize
