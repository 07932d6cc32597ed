#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nn/layers.h"

namespace visiontorch::nn {

// A network is described once, as a tree of these blocks with torchvision's names. Training, the inference plans, the
// state dict, the initialization and the summary are all derived from that tree. What belongs together is one block:
// no back end has to recognize a pattern in a block's neighbors.

// A convolution, then a norm and an activation, if there are any: torchvision.ops.misc.Conv2dNormActivation.
struct Conv2dNormActivation {
  // Of the parts, below the name of the block.
  struct Names {
    std::string conv = "0", norm = "1", activation = "2";
  };

  Conv2d conv;
  std::optional<BatchNorm2d> norm;
  std::optional<Activation> activation;
  Names names{};

  Shape output_shape(const Shape& input) const { return conv.output_shape(input); }
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

// x -> activation(body(x) + downsample(x)), or + x if there is no downsample.
struct Residual {
  std::vector<Conv2dNormActivation> body;
  std::optional<Conv2dNormActivation> downsample;
  std::optional<Activation> activation;

  Shape output_shape(const Shape& input) const;
};

// Sandler et al. 2018, arXiv:1801.04381: a 1 x 1 expansion (if there is one), a depthwise convolution and a 1 x 1
// projection without activation; plus x if `residual`.
struct InvertedResidual {
  std::optional<Conv2dNormActivation> expand;
  Conv2dNormActivation depthwise, project;
  bool residual;

  Shape output_shape(const Shape& input) const;
};

struct Node;
using Nodes = std::vector<Node>;

struct Sequential {
  Nodes children;

  Shape output_shape(const Shape& input) const;
};

using Block = std::variant<Conv2dNormActivation, LinearActivation, Linear, MaxPool2d, AdaptiveAvgPool2d, Flatten,
                           Dropout, Sequential, Residual, InvertedResidual>;

struct Node {
  std::string name;  // "" adds no level to the parameters' names
  Block block;
};

// Visitors of blocks are written as overloads of lambdas.
template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;

Shape output_shape(const Nodes& nodes, const Shape& input);

std::string join_name(const std::string& prefix, const std::string& name);

}  // namespace visiontorch::nn
