#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "eager/forward.h"
#include "nn/network.h"
#include "ops/packing.h"

namespace visiontorch::infer {

// An operation of a plan.
using Op = std::function<at::Tensor(at::Tensor)>;
using Ops = std::vector<Op>;
at::Tensor run(const Ops& ops, at::Tensor x);

// (x, residual or undefined) -> activation(conv(x) + residual). The result may be written into the residual.
using Convolution = std::function<at::Tensor(const at::Tensor&, at::Tensor)>;

// Turns a network into operations for inference. This class composes the operations that a back end, a derived class,
// provides for blocks. A block that the back end does not support, for which it returns a null function, runs eagerly.
class Lowering {
 public:
  virtual ~Lowering() = default;

  // Images [n, 3, h, w] in float32, channels-last, on the CPU -> the first operation's input.
  virtual at::Tensor prepare(const at::Tensor& images) const = 0;

  // Appends the operations of these nodes for inputs of this shape, and returns the shape of the outputs.
  nn::Shape lower(const nn::Nodes& nodes, nn::Shape shape, Ops& ops) const;

 protected:
  Lowering(at::ScalarType dtype, at::Device device) : dtype_(dtype), device_(device) {}

  // Means of pixels [n, channels] -> the factors of the channels.
  Op scales(const nn::SqueezeExcitation& block) const;

  // Scales the channels of its input, perhaps in place.
  virtual Op excitation(const nn::SqueezeExcitation& block) const;
  // Does the same before a convolution without an activation of its own.
  virtual Convolution excited_convolution(const nn::SqueezeExcitation& block, const nn::Conv2dNormActivation& last,
                                          const nn::Shape& input, std::optional<nn::Activation> activation) const;

  Op eager(const nn::Node& node) const;

  const at::ScalarType dtype_;
  const at::Device device_;

 private:
  using Activation = std::optional<nn::Activation>;

  // `activation` replaces the block's own.
  virtual Convolution convolution(const nn::Conv2dNormActivation& block, const nn::Shape& input,
                                  Activation activation) const = 0;
  virtual Op linear(const nn::Linear& linear, Activation activation) const = 0;
  // For many rows, such as an image's tokens: (x, residual or undefined) -> activation(linear(x) * scale + residual),
  // like Convolution. `scale` [out_features] may be undefined.
  virtual Convolution token_linear(const nn::Linear&, Activation, const at::Tensor& /*scale*/) const { return {}; }
  virtual Op layer_norm(const nn::LayerNorm&) const { return {}; }
  virtual Op batch_norm(const nn::BatchNorm2d&, Activation) const { return {}; }
  // All three as one operation: (x, residual or undefined) -> out(hidden(norm(x))) * scale + residual.
  virtual Convolution mlp(const nn::LayerNorm&, const nn::LinearActivation& /*hidden*/, const nn::Linear& /*out*/,
                          const at::Tensor& /*scale*/, const nn::Shape& /*input*/) const {
    return {};
  }
  // Without its linear layers: queries, keys and values [n, ..., 3 * features] -> [n, ..., features].
  virtual Op attention(const nn::MultiheadAttention&, const nn::Shape& /*input*/) const { return {}; }
  virtual Op attention(const nn::WindowAttention&, const nn::Shape& /*input*/) const { return {}; }
  virtual Op max_pool(const nn::MaxPool2d&) const { return {}; }
  virtual Op adaptive_avg_pool(const nn::AdaptiveAvgPool2d&) const { return {}; }
  // These return the whole block as one operation, or null if it must be composed of its parts.
  virtual Op inverted_residual(const nn::InvertedResidual&) const { return {}; }
  virtual Op preactivated_convolution(const nn::PreactivatedConvolution&) const { return {}; }
  virtual Op dense_block(const nn::DenseBlock&, const nn::Shape& /*input*/) const { return {}; }
  // Of blocks that run eagerly. What it points to lives as long as the plan.
  virtual visiontorch::eager::Mode mode() const { return {}; }

  Op lower(const nn::Conv2dNormActivation& block, const nn::Shape& input) const;
  Op lower(const nn::NormActivation& block, const nn::Shape&) const { return batch_norm(block.norm, block.activation); }
  Op lower(const nn::BatchNorm2d& norm, const nn::Shape&) const { return batch_norm(norm, {}); }
  Op lower(const nn::PreactivatedConvolution& block, const nn::Shape& input) const;
  Op lower(const nn::DenseBlock& block, const nn::Shape& input) const;
  Op lower(const nn::LinearActivation& block, const nn::Shape& input) const {
    return lower(block.linear, block.activation, input);
  }
  Op lower(const nn::Linear& layer, const nn::Shape& input) const { return lower(layer, {}, input); }
  Op lower(const nn::Linear& layer, Activation activation, const nn::Shape& input) const;
  Op lower(const nn::LayerNorm& norm, const nn::Shape&) const;
  Op lower(const nn::Permute& block, const nn::Shape&) const;
  Op lower(const nn::PatchEmbedding& block, const nn::Shape& input) const;
  Op lower(const nn::ClassToken&, const nn::Shape&) const;
  Op lower(const nn::MultiheadAttention& block, const nn::Shape& input) const;
  Op lower(const nn::WindowAttention& block, const nn::Shape& input) const;
  Op lower(const nn::PatchMerging& block, const nn::Shape&) const;
  Op lower(const nn::ResidualBranch& block, const nn::Shape& input) const;
  Op lower(const nn::MaxPool2d& pool, const nn::Shape&) const { return max_pool(pool); }
  Op lower(const nn::AdaptiveAvgPool2d& pool, const nn::Shape&) const { return adaptive_avg_pool(pool); }
  Op lower(const nn::Residual& block, const nn::Shape& input) const;
  Op lower(const nn::InvertedResidual& block, const nn::Shape& input) const;
  template <class Block>
  Op lower(const Block&, const nn::Shape&) const {
    return {};
  }
  Op lower(const nn::SqueezeExcitation& block, const nn::Shape&) const { return excitation(block); }
  Op lower(const nn::Concat& block, const nn::Shape& input) const;
  // Convolutions in turn and, before the last one, the excitation, if there is one.
  struct Branch {
    std::vector<const nn::Conv2dNormActivation*> parts;
    const nn::SqueezeExcitation* excitation = nullptr;
  };
  // activation(branch(x) + downsample(x)), or activation(branch(x) + x) if there is no downsample.
  Op residual(const Branch& branch, const nn::Conv2dNormActivation* downsample, Activation activation,
              const nn::Shape& input) const;
  // Returns a norm and two linear layers as one operation if these are the last nodes of the branch, and the back end
  // has one.
  Convolution mlp(const std::vector<const nn::Node*>& branch, const at::Tensor& scale, nn::Shape input) const;
  // Returns the last layer of a branch, which adds the shortcut: (x, shortcut) -> layer(x) * scale + shortcut. Appends
  // the operations before it to `ops`. Returns null if the back end does not support the layer.
  Convolution last(const nn::Node& node, const nn::Shape& input, const at::Tensor& scale, Ops& ops) const;
  template <class Block>
  Convolution attend(const Block& block, const nn::Linear& qkv, const nn::Linear& projection, const nn::Shape& input,
                     const at::Tensor& scale, Ops& ops) const;
};

// Returns the convolution's weight and bias with the batch norm folded in: y = (conv(x) - mean) / sqrt(var + eps) *
// gamma + beta. Computed in double, so that it costs no accuracy.
ops::Affine fold(const nn::Conv2dNormActivation& block);

}  // namespace visiontorch::infer
