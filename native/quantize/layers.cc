#include "quantize/layers.h"

#include <ATen/ATen.h>

namespace visiontorch::quantize {

namespace {

constexpr float kMost = 127;  // the largest magnitude of a weight in integers

struct Collector {
  std::vector<Layer>& result;

  void operator()(const std::string& path, nn::Nodes& nodes) const {
    for (nn::Node& node : nodes)
      std::visit([&](auto& block) { (*this)(nn::join_name(path, node.name), block); }, node.block);
  }
  void operator()(const std::string& path, nn::Conv2dNormActivation& block) const {
    result.push_back({.name = nn::join_name(path, block.names.conv),
                      .conv = &block.conv,
                      .norm = block.norm ? &*block.norm : nullptr});
  }
  void operator()(const std::string& path, nn::PreactivatedConvolution& block) const {
    (*this)(path, block.convolution);
  }
  void operator()(const std::string& path, nn::DenseBlock& block) const {
    for (nn::DenseLayer& layer : block.layers) {
      const std::string name = nn::join_name(path, layer.name);
      (*this)(name, layer.hidden);
      (*this)(name, layer.growth);
    }
  }
  void operator()(const std::string& path, nn::Linear& linear) const {
    result.push_back({.name = path, .linear = &linear});
  }
  void operator()(const std::string& path, nn::LinearActivation& block) const {
    (*this)(nn::join_name(path, block.names.linear), block.linear);
  }
  void operator()(const std::string& path, nn::Sequential& block) const { (*this)(path, block.children); }
  void operator()(const std::string& path, nn::Concat& block) const { (*this)(path, block.branches); }
  void operator()(const std::string& path, nn::Residual& block) const {
    for (nn::Conv2dNormActivation& part : block.body) (*this)(path, part);
    if (block.downsample) (*this)(path, *block.downsample);
  }
  void operator()(const std::string& path, nn::InvertedResidual& block) const {
    if (block.expand) (*this)(path, *block.expand);
    (*this)(path, block.depthwise);
    (*this)(path, block.project);
  }
  void operator()(const std::string& path, nn::ResidualBranch& block) const {
    (*this)(path, block.shortcut);
    (*this)(path, block.body);
  }
  template <class Block>
  void operator()(const std::string&, Block&) const {}
};

std::vector<int64_t> per_output(const at::Tensor& weight) {
  std::vector<int64_t> sizes(static_cast<size_t>(weight.dim()), 1);
  sizes[0] = -1;
  return sizes;
}

}  // namespace

at::Tensor* Layer::bias() const {
  if (linear) return linear->has_bias ? &linear->bias : nullptr;
  if (conv->has_bias) return &conv->bias;
  return norm ? &norm->bias : nullptr;
}

Layer::Affine Layer::fold() const {
  const at::Tensor weight = this->weight().detach().to(at::kDouble);
  const bool has_bias = linear ? linear->has_bias : conv->has_bias;
  at::Tensor bias = has_bias ? (linear ? linear->bias : conv->bias).detach().to(at::kDouble)
                             : at::zeros({weight.size(0)}, weight.options());
  if (!norm) return {weight.to(at::kFloat), bias.to(at::kFloat)};
  const at::Tensor factor =
      norm->weight.detach().to(at::kDouble) / (norm->running_var.to(at::kDouble) + norm->eps).sqrt();
  bias = norm->bias.detach().to(at::kDouble) + (bias - norm->running_mean.to(at::kDouble)) * factor;
  return {(weight * factor.view(per_output(weight))).to(at::kFloat), bias.to(at::kFloat)};
}

void Layer::set(const Affine& affine) const {
  weight() = affine.weight;
  if (norm) {
    norm->weight = at::ones_like(norm->weight);
    norm->bias = at::zeros_like(norm->bias);
    norm->running_mean = at::zeros_like(norm->running_mean);
    norm->running_var = at::full_like(norm->running_var, 1 - norm->eps);
  }
  if (at::Tensor* place = bias()) *place = affine.bias;
}

at::Tensor Layer::apply(const at::Tensor& x, const at::Tensor& weight) const {
  if (linear) return at::linear(x, weight);
  return at::conv2d(x, weight, {}, conv->stride, conv->padding.both(), conv->dilation, conv->groups);
}

std::vector<Layer> layers(nn::Network& network) {
  std::vector<Layer> result;
  const Collector collect{result};
  collect("", network.backbone);
  collect("", network.classifier);
  return result;
}

at::Tensor largest_weights(const at::Tensor& weight) { return weight.flatten(1).abs().amax(1); }

QuantizedWeight quantize_weight(const at::Tensor& weight) {
  const at::Tensor scale = largest_weights(weight) / kMost;
  return quantize_weight(weight, at::where(scale > 0, scale, at::ones_like(scale)));  // if the weights are all zero
}

QuantizedWeight quantize_weight(const at::Tensor& weight, const at::Tensor& scale) {
  const at::Tensor values = (weight / scale.view(per_output(weight))).round().clamp(-kMost, kMost).to(at::kChar);
  return {values.contiguous(), scale};
}

at::Tensor dequantize(const QuantizedWeight& weight) {
  at::Tensor result = weight.values.to(at::kFloat);
  dequantize_(result, weight.scale);
  return result;
}

void dequantize_(at::Tensor& values, const at::Tensor& scale) { values.detach().mul_(scale.view(per_output(values))); }

}  // namespace visiontorch::quantize
