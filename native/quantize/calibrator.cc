#include "quantize/calibrator.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

namespace visiontorch::quantize {

namespace {

// Returns the axes of an output except that of the channels, which is the second for images and otherwise the last.
std::vector<int64_t> rows_of(const Layer& layer, const at::Tensor& output) {
  if (layer.conv) return {0, 2, 3};
  std::vector<int64_t> axes;
  for (int64_t axis = 0; axis + 1 < output.dim(); axis++) axes.push_back(axis);
  return axes;
}

}  // namespace

Calibrator::Calibrator(nn::Network network, Method method) : network_(std::move(network)), method_(method) {
  for (Layer& layer : layers(network_)) {
    by_weight_.emplace(layer.weight().const_data_ptr(), observed_.size());
    observed_.push_back({.layer = std::move(layer)});
  }
}

void Calibrator::run(const at::Tensor& images, const eager::InputHook& hook) {
  const at::NoGradGuard no_grad;
  const eager::Mode mode{.input_hook = &hook};
  const at::Device device = observed_.front().layer.weight().device();
  eager::forward(network_.classifier, eager::forward(network_.backbone, images.to(device), mode), mode);
}

void Calibrator::observe(const at::Tensor& images) {
  run(images, [&](const at::Tensor& weight, const at::Tensor& input) {
    const auto found = by_weight_.find(weight.const_data_ptr());
    if (found != by_weight_.end()) {
      const at::Tensor values = input.cpu();
      observed_[found->second].input.add(values.is_non_overlapping_and_dense() ? values : values.contiguous());
    }
    return input;
  });
}

void Calibrator::prepare() {
  if (std::exchange(prepared_, true)) return;
  for (Observed& observed : observed_) {
    if (observed.input.is_empty()) continue;
    observed.folded = observed.layer.fold();
    observed.quantized = quantize_weight(observed.folded.weight);
    observed.rounded = dequantize(observed.quantized);
    observed.scale = observed.input.scale(method_);
    observed.mean_error = at::zeros_like(observed.folded.bias, at::kDouble);
  }
}

void Calibrator::measure(const at::Tensor& images) {
  prepare();
  run(images, [&](const at::Tensor& weight, const at::Tensor& input) {
    const auto found = by_weight_.find(weight.const_data_ptr());
    if (found != by_weight_.end()) compare(observed_[found->second], input);
    return input;
  });
}

void Calibrator::compare(Observed& observed, const at::Tensor& input) const {
  const Layer& layer = observed.layer;
  const at::Tensor exact = layer.apply(input, observed.folded.weight);
  const at::Tensor error = exact - layer.apply(fake_quantize(input, observed.scale), observed.rounded);
  const double rows = static_cast<double>(error.numel()) / static_cast<double>(observed.folded.bias.numel());
  observed.mean_error += error.mean(rows_of(layer, error), false, at::kDouble) * rows;
  observed.rows += rows;
  observed.noise += error.square().sum(at::kDouble).item<double>();
  observed.signal += exact.square().sum(at::kDouble).item<double>();
}

std::vector<Calibrator::LayerError> Calibrator::errors() const {
  std::vector<LayerError> result;
  for (const Observed& observed : observed_)
    if (!observed.input.is_empty())
      result.push_back({observed.layer.name, observed.signal > 0 ? observed.noise / observed.signal : 0});
  return result;
}

Calibrator::Quantized Calibrator::quantize(const std::vector<std::string>& float_layers) const {
  const at::NoGradGuard no_grad;
  Quantized result{network_.clone(), {}};
  const std::vector<Layer> targets = layers(result.network);
  for (size_t i = 0; i < targets.size(); i++) {
    const Observed& observed = observed_[i];
    const bool stays = std::find(float_layers.begin(), float_layers.end(), targets[i].name) != float_layers.end();
    if (stays || !observed.quantized.values.defined()) continue;
    const bool has_bias = targets[i].bias() != nullptr;
    at::Tensor bias = observed.folded.bias;
    if (has_bias && observed.rows > 0) bias = (bias + observed.mean_error / observed.rows).to(at::kFloat);
    targets[i].set({observed.rounded.clone(), bias.clone()});
    result.quantization.layers.emplace(targets[i].name,
                                       nn::QuantizedLayer{.input = observed.scale,
                                                          .weight = observed.quantized.values.cpu(),
                                                          .weight_scale = observed.quantized.scale.cpu(),
                                                          .bias = bias.cpu()});
  }
  return result;
}

}  // namespace visiontorch::quantize
