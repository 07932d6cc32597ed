#include "quantize/calibrator.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "runtime/error.h"

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
  for (Layer& layer : quantize::layers(network_)) {
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

void Calibrator::use(const std::map<std::string, Scales>& scales) {
  constexpr float kLeast = 60, kMost = 129;  // 7 bits, which some quantizers prefer, and rounding up from 127.5
  for (Observed& observed : observed_) {
    const auto found = scales.find(observed.layer.name);
    if (found == scales.end()) continue;
    const at::Tensor largest = largest_weights(observed.layer.fold().weight);
    const int64_t count = found->second.weight.numel();
    if (count != 1 && count != largest.numel())
      throw Error("ERR_CHECKPOINT_MISMATCH", "expected " + std::to_string(largest.numel()) +
                                                 " scales for the weights of " + observed.layer.name + ", got " +
                                                 std::to_string(count));
    const auto steps = (largest / found->second.weight.to(largest.device())).amax().item<float>();
    if (!(steps >= kLeast && steps <= kMost))
      throw Error("ERR_CHECKPOINT_MISMATCH",
                  "the scales of " + observed.layer.name +
                      " were computed from other weights. Use the model from which that file was made");
    observed.given = {found->second.input, found->second.weight.to(largest.device()).expand_as(largest).contiguous()};
  }
}

void Calibrator::prepare() {
  if (std::exchange(prepared_, true)) return;
  for (Observed& observed : observed_) {
    if (!observed.has_scales()) continue;
    observed.folded = observed.layer.fold();
    const at::Tensor& weight = observed.folded.weight;
    observed.quantized = observed.given ? quantize_weight(weight, observed.given->weight) : quantize_weight(weight);
    observed.rounded = dequantize(observed.quantized);
    observed.scale = observed.given ? observed.given->input : observed.input.scale(method_);
    observed.mean_error = at::zeros_like(observed.folded.bias, at::kDouble);
  }
}

void Calibrator::measure(const at::Tensor& images) {
  prepare();
  run(images, [&](const at::Tensor& weight, const at::Tensor& input) {
    const auto found = by_weight_.find(weight.const_data_ptr());
    if (found != by_weight_.end() && observed_[found->second].has_scales()) compare(observed_[found->second], input);
    return input;
  });
}

void Calibrator::compare(Observed& observed, const at::Tensor& input) const {
  const Layer& layer = observed.layer;
  const at::Tensor error =
      layer.apply(input, observed.folded.weight) - layer.apply(fake_quantize(input, observed.scale), observed.rounded);
  const double rows = static_cast<double>(error.numel()) / static_cast<double>(observed.folded.bias.numel());
  observed.mean_error += error.mean(rows_of(layer, error), false, at::kDouble) * rows;
  observed.rows += rows;
}

std::vector<std::string> Calibrator::layers() const {
  std::vector<std::string> names;
  for (const Observed& observed : observed_)
    if (observed.has_scales()) names.push_back(observed.layer.name);
  return names;
}

Calibrator::Quantized Calibrator::quantize(const std::vector<std::string>& float_layers) const {
  const at::NoGradGuard no_grad;
  Quantized result{network_.clone(), {}};
  const std::vector<Layer> targets = quantize::layers(result.network);
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
