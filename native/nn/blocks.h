#pragma once

#include <ATen/core/Generator.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nn/layers.h"
#include "nn/transformer.h"

namespace visiontorch::nn {

// A network is described once, as a tree of these blocks with torchvision's names. Training, the inference plans, the
// state dict, the initialization and the summary are all derived from that tree. Layers that belong together are one
// block, so that no back end has to recognize patterns among neighboring blocks.

struct Node;
using Nodes = std::vector<Node>;

// A convolution, an optional norm and an optional activation: torchvision.ops.misc.Conv2dNormActivation.
struct Conv2dNormActivation {
  // Names of the parts, relative to the block's name.
  struct Names {
    std::string conv = "0", norm = "1", activation = "2";
  };

  Conv2d conv;
  std::optional<BatchNorm2d> norm;
  std::optional<Activation> activation;
  Names names{};

  Shape output_shape(const Shape& input) const { return conv.output_shape(input); }
};

struct BatchNormOptions {
  double eps = 1e-5, momentum = 0.1;  // PyTorch's defaults
};

// Makes the block of torchvision's constructor of that name: with stride 1, the padding keeps the image's size.
Conv2dNormActivation conv_norm_activation(Conv2d conv, std::optional<Activation> activation, BatchNormOptions norm = {},
                                          Conv2dNormActivation::Names names = {});

struct NormActivation {
  struct Names {
    std::string norm = "0", activation = "1";
  };

  BatchNorm2d norm;
  Activation activation;
  Names names{};

  Shape output_shape(const Shape& input) const { return input; }
};

// x -> pool(convolution(activation(norm(x)))): He et al. 2016, arXiv:1603.05027.
struct PreactivatedConvolution {
  NormActivation before;
  Conv2dNormActivation convolution;
  std::optional<AvgPool2d> pool{};  // named "pool"

  Shape output_shape(const Shape& input) const;
};

struct DenseLayer {
  std::string name;
  PreactivatedConvolution hidden;
  Conv2dNormActivation growth;
  double drop_rate;
};

// Each layer reads the channels of x and those that the layers before it computed, and appends its own: Huang et al.
// 2016, arXiv:1608.06993.
struct DenseBlock {
  std::vector<DenseLayer> layers;

  Shape output_shape(const Shape& input) const;
};

struct LinearActivation {
  struct Names {
    std::string linear = "0", activation = "1";
  };

  Linear linear;
  Activation activation;
  Names names{};

  Shape output_shape(const Shape& input) const { return linear.output_shape(input); }
};

// Hu et al. 2018, arXiv:1709.01507: x -> x * scale_activation(fc2(activation(fc1(mean of x's pixels)))), where fc1 and
// fc2 are 1 x 1 convolutions with biases: torchvision.ops.misc.SqueezeExcitation.
struct SqueezeExcitation {
  Conv2d fc1, fc2;
  Activation activation, scale_activation;
  std::string name;  // relative to the block's name

  SqueezeExcitation(int64_t channels, int64_t squeezed, Activation activation, Activation scale_activation,
                    std::string name);
  Shape output_shape(const Shape& input) const { return input; }
};

// x -> activation(body(x) + downsample(x)), or activation(body(x) + x) if there is no downsample.
struct Residual {
  std::vector<Conv2dNormActivation> body;
  std::optional<Conv2dNormActivation> downsample{};
  std::optional<Activation> activation{};
  std::optional<SqueezeExcitation> excitation{};  // before the last convolution of the body
  double stochastic_depth = 0;                    // the probability of leaving out the body
  bool registers_downsample_first = false;        // RegNet registers it first, ResNet last

  Shape output_shape(const Shape& input) const;
};

// Sandler et al. 2018, arXiv:1801.04381: an optional 1 x 1 expansion, a depthwise convolution, an optional excitation
// (MobileNetV3 and EfficientNet), and a 1 x 1 projection without activation; plus x if `residual`.
struct InvertedResidual {
  std::optional<Conv2dNormActivation> expand{};
  Conv2dNormActivation depthwise, project;
  bool residual;
  std::optional<SqueezeExcitation> excitation{};
  double stochastic_depth = 0;  // the probability of leaving out everything but x

  Shape output_shape(const Shape& input) const;
};

// x -> shortcut(x) + layer_scale * body(x): a residual block without an activation after the sum (ConvNeXt, ViT, Swin).
struct ResidualBranch {
  Nodes body;
  Nodes shortcut;                      // registered before the body; if empty, x itself
  bool registers_last_first = false;   // registers the last node of the body before the others (Swin V2's norms)
  std::vector<int64_t> scale_shape{};  // of layer_scale; if empty, there is none
  double initial_scale = 1;
  double stochastic_depth = 0;  // the probability of leaving out the body
  at::Tensor layer_scale{};

  Shape output_shape(const Shape& input) const;
  std::vector<LayerTensor> tensors();
  void outline();
};

// Applies each node to the same input and concatenates the outputs along the channels.
struct Concat {
  Nodes branches;

  Shape output_shape(const Shape& input) const;
};

// Returns x itself. In training, the head also computes logits from x, whose loss is weighted by `loss_weight` (Szegedy
// et al. 2014, arXiv:1409.4842). The last node of the head is the layer whose outputs are the classes.
struct AuxiliaryHead {
  Nodes head;
  double loss_weight;
  bool is_registered_last = false;  // in the state dict, after all sibling nodes

  Shape output_shape(const Shape& input) const { return input; }
};

struct Sequential {
  Nodes children;
  // Draws the values that torchvision's constructor of this part draws after PyTorch's defaults, if any.
  void (*redraw)(Nodes& children, at::Generator& generator) = nullptr;

  Shape output_shape(const Shape& input) const;
};

using Block = std::variant<Conv2dNormActivation, NormActivation, PreactivatedConvolution, DenseBlock, LinearActivation,
                           BatchNorm2d, Linear, LayerNorm, Activation, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten,
                           Permute, ChannelSlice, ChannelShuffle, ChannelAffine, Dropout, SqueezeExcitation, Sequential,
                           Concat, Residual, InvertedResidual, ResidualBranch, AuxiliaryHead, PatchEmbedding,
                           ClassToken, MultiheadAttention, WindowAttention, PatchMerging>;

struct Node {
  std::string name;  // "" adds no level to the parameters' names
  Block block;
};

// Combines lambdas into a visitor of blocks.
template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;

Shape output_shape(const Nodes& nodes, const Shape& input);

// Returns the nearest multiple of `divisor`, but at least `divisor` and 90% of `value` (torchvision's _make_divisible).
int64_t make_divisible(double value, int64_t divisor);

std::string join_name(const std::string& prefix, const std::string& name);

}  // namespace visiontorch::nn
