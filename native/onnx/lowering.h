#pragma once

#include <optional>
#include <string>

#include "nn/network.h"
#include "nn/quantization.h"
#include "onnx/graph.h"

namespace visiontorch::onnx {

// The network for images of this size, in eval mode: float32 [n, 3, height, width] -> logits [n, classes], for any n.
// Batch norms are folded into the convolutions before them. Throws as nn::check_image_size(). Quantized layers get
// integers as weights, and QuantizeLinear and DequantizeLinear before them (ONNX's QDQ form).
Graph lower(const nn::Network& network, const nn::Quantization& quantization, int64_t height, int64_t width,
            int64_t opset);

// Turns blocks into operations. `path` is the block's name in the state dict, from which the names of its tensors and
// outputs are derived.
class Lowering {
 public:
  Lowering(Builder& graph, const nn::Quantization& quantization) : graph_(graph), quantization_(quantization) {}

  Value lower(const nn::Nodes& nodes, Value x, const std::string& path) const;

 private:
  using Path = const std::string&;

  // Adds an operation whose output has the shape that the block computes.
  template <class Block>
  Value lower(const Block& block, const Value& x, Path path) const {
    return {emit(block, x, path), block.output_shape(x.shape)};
  }
  Value lower(nn::Activation activation, const Value& x, Path path) const {
    return {activate(activation, x.name, path), x.shape};
  }
  Value lower(const nn::Sequential& block, const Value& x, Path path) const { return lower(block.children, x, path); }
  Value lower(const nn::Dropout&, const Value& x, Path) const { return x; }
  Value lower(const nn::AuxiliaryHead&, const Value& x, Path) const { return x; }

  std::string emit(const nn::Conv2dNormActivation& block, const Value& x, Path path) const;
  std::string emit(const nn::NormActivation& block, const Value& x, Path path) const;
  std::string emit(const nn::PreactivatedConvolution& block, const Value& x, Path path) const;
  std::string emit(const nn::DenseBlock& block, const Value& x, Path path) const;
  std::string emit(const nn::LinearActivation& block, const Value& x, Path path) const;
  std::string emit(const nn::BatchNorm2d& norm, const Value& x, Path path) const;
  std::string emit(const nn::Linear& linear, const Value& x, Path path) const;
  std::string emit(const nn::LayerNorm& norm, const Value& x, Path path) const;
  std::string emit(const nn::MaxPool2d& pool, const Value& x, Path path) const;
  std::string emit(const nn::AvgPool2d& pool, const Value& x, Path path) const;
  std::string emit(const nn::AdaptiveAvgPool2d& pool, const Value& x, Path path) const;
  std::string emit(const nn::Flatten& block, const Value& x, Path path) const;
  std::string emit(const nn::Permute& block, const Value& x, Path path) const;
  std::string emit(const nn::ChannelSlice& block, const Value& x, Path path) const;
  std::string emit(const nn::ChannelShuffle& block, const Value& x, Path path) const;
  std::string emit(const nn::ChannelAffine& block, const Value& x, Path path) const;
  std::string emit(const nn::SqueezeExcitation& block, const Value& x, Path path) const;
  std::string emit(const nn::Concat& block, const Value& x, Path path) const;
  std::string emit(const nn::Residual& block, const Value& x, Path path) const;
  std::string emit(const nn::InvertedResidual& block, const Value& x, Path path) const;
  std::string emit(const nn::ResidualBranch& block, const Value& x, Path path) const;
  std::string emit(const nn::PatchEmbedding& block, const Value& x, Path path) const;
  std::string emit(const nn::ClassToken& block, const Value& x, Path path) const;
  std::string emit(const nn::MultiheadAttention& block, const Value& x, Path path) const;
  std::string emit(const nn::WindowAttention& block, const Value& x, Path path) const;
  std::string emit(const nn::PatchMerging& block, const Value& x, Path path) const;

  std::string activate(std::optional<nn::Activation> activation, const std::string& x, Path path) const;
  std::string convolve(const nn::Conv2d& conv, const at::Tensor& weight, const at::Tensor& bias, const std::string& x,
                       Path path) const;
  // What a layer computes with, by name; `bias` may be empty.
  struct Operands {
    std::string x, weight, bias;
  };
  // Of a convolution or linear layer whose weight has its outputs first. In integers, if the layer is quantized.
  Operands operands(const at::Tensor& weight, const at::Tensor& bias, const std::string& x, Path path) const;
  // The layer `path` in integers; nullptr if it computes in floating point.
  const nn::QuantizedLayer* quantized(Path path) const;
  // x rounded to the bytes of the layer's input.
  std::string round_input(const nn::QuantizedLayer& layer, const std::string& x, Path path) const;
  // The values of integers whose scales lie along `axis`.
  std::string dequantize(const std::string& name, const at::Tensor& integers, const at::Tensor& scale,
                         int64_t axis) const;
  // x * weight^T + bias over the last of several axes; the bias may be undefined.
  std::string multiply(const at::Tensor& weight, const at::Tensor& bias, const std::string& x, Path path) const;
  std::string pad_bottom_right(const std::string& x, int64_t bottom, int64_t right, Path path) const;

  Builder& graph_;
  const nn::Quantization& quantization_;
};

}  // namespace visiontorch::onnx
