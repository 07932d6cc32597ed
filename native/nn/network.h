#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace visiontorch::nn {

// A network is described once, as a tree of these nodes with torchvision's names. The training pass, the inference
// plan, the state dict, the initialisation and the summary are all read off that tree.

struct Conv2d {
  int64_t in_channels, out_channels, kernel_size;
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  bool has_bias = false;
  at::Tensor weight{}, bias{};  // [out, in / groups, k, k], [out]
};

struct BatchNorm2d {
  static constexpr double kMomentum = 0.1, kEps = 1e-5;  // PyTorch's defaults, which torchvision keeps
  int64_t num_features;
  at::Tensor weight{}, bias{}, running_mean{}, running_var{};  // [num_features]
  at::Tensor num_batches_tracked{};                            // int64 scalar
};

struct Linear {
  int64_t in_features, out_features;
  at::Tensor weight{}, bias{};  // [out, in], [out]
};

struct Activation {
  enum Kind { ReLU, ReLU6 } kind;
};
// The activation that another operation applies to its result, if any.
using Fused = std::optional<Activation::Kind>;

struct MaxPool2d {
  int64_t kernel_size, stride, padding = 0;
};

struct AdaptiveAvgPool2d {
  int64_t output_size;
};

struct Flatten {};

struct Dropout {
  double p;
};

struct Node;
using Nodes = std::vector<Node>;

struct Sequential {
  Nodes children;
};

// x -> relu?(body(x) + shortcut(x)); without a shortcut, x itself is added. Body and shortcut share one level of names,
// as in torchvision's blocks (conv1, bn1, ..., downsample).
struct Residual {
  Nodes body;
  Nodes shortcut;  // empty, or one child
  bool relu = false;
};

struct Node {
  std::string name;  // "" adds no level to the parameters' names
  std::variant<Conv2d, BatchNorm2d, Linear, Activation, MaxPool2d, AdaptiveAvgPool2d, Flatten, Dropout, Sequential,
               Residual>
      op;
};

// Visitors of Node::op are written as overloads of lambdas.
template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;

// How a family initialises its parameters after PyTorch's defaults were drawn: see init.cc.
enum class Initialization { VGG, MobileNetV2, ResNet, ResNetZeroResidual };

// One entry of the state dict. `tensor` points into the network's tree.
struct Entry {
  std::string name;
  at::Tensor* tensor;
  bool is_parameter;   // else a buffer
  bool in_classifier;  // else in the backbone, which freezing leaves alone
};

struct Network {
  std::string architecture;
  int64_t num_classes;
  Initialization initialization;
  Nodes backbone;    // images [n, 3, h, w] -> pooled features [n, features]
  Nodes classifier;  // features -> logits [n, num_classes]

  // The state dict's entries in PyTorch's order.
  std::vector<Entry> entries();
  // A network whose tensors are copies of this one's.
  Network clone() const;
};

// The tensor, or a copy of it where its address is no multiple of its elements' size. A layer's weight may be so after
// loading, which spares a copy: legacy files have no padding, and torchvision's vgg16-397923af.pth has its data at odd
// addresses. Only ops::Linear, and Winograd's transformation on the way, read it there.
at::Tensor aligned(const at::Tensor& tensor);

// Makes all tensors: batch norms' with their initial values, layers' weights and biases without memory (PyTorch's meta
// device), to be initialised or loaded.
void outline(Nodes& nodes);

struct Mode {
  bool training = false;     // dropout
  bool batch_stats = false;  // batch norm uses and updates statistics of the batch; false: its running statistics
};
at::Tensor forward(std::span<const Node> nodes, at::Tensor x, Mode mode);

struct LayerSummary {
  std::string name, type;
  std::vector<int64_t> output_shape;  // of one image, without the batch
  int64_t parameters, multiply_adds;
};
// The layers in the order of execution for one image of size x size. Throws ERR_INVALID_ARGUMENT where nothing is left
// of so small an image.
std::vector<LayerSummary> summarize(const Network& network, int64_t size);

// Calls `visit(path, node)` for every leaf in PyTorch's order of registration (body before shortcut).
void for_each_leaf(Nodes& nodes, const std::string& prefix,
                   const std::function<void(const std::string&, Node&)>& visit);
std::string join_name(const std::string& prefix, const std::string& name);

}  // namespace visiontorch::nn
