#pragma once

#include <ATen/core/Generator.h>

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nn/blocks.h"

namespace visiontorch::nn {

// One entry of the state dict. `tensor` points into the network's tree.
struct Entry {
  std::string name;
  at::Tensor* tensor;
  bool is_parameter;   // otherwise a buffer
  bool in_classifier;  // otherwise in the backbone
  bool in_norm;        // whether it belongs to a batch norm or a layer norm
  bool is_positions;   // a position embedding: see interpolate_positions()
};

struct Network {
  std::string architecture;
  int64_t num_classes;
  Nodes backbone;    // images [n, 3, h, w] -> pooled features [n, features], or pixels [n, features, h, w]
  Nodes classifier;  // the backbone's output -> logits [n, num_classes]
  // Draws the values that torchvision's constructor draws after PyTorch's defaults of all layers, if any.
  void (*redraw)(Network&, at::Generator&) = nullptr;
  // Names of the auxiliary heads that the network may have. In a file, they may have another number of classes or be
  // missing; heads that the network does not have are skipped.
  std::vector<std::string> auxiliary_heads{};
  // Returns the name of a tensor in older files if it was different, otherwise "".
  std::string (*older_name)(const std::string& name) = nullptr;
  int64_t version = 0;                  // of the state dict that torchvision's module expects; 0: none
  std::optional<int64_t> image_size{};  // the only height and width of images that the network accepts

  // Returns the state dict's entries in PyTorch's order.
  std::vector<Entry> entries();
  // Returns a network whose tensors are copies of this one's.
  Network clone() const;
};

// A part of the backbone that is frozen as a whole and shares a learning rate.
struct Stage {
  std::string name;
  std::vector<std::string> layers;  // names in the state dict
};
// Returns the children of the backbone that have parameters, in the order of execution. If exactly one of them is a
// Sequential ("features"), its children are stages too.
std::vector<Stage> stages(Network& network);

// A layer or block with parameters of its own.
using Layer = std::variant<Conv2d*, BatchNorm2d*, LayerNorm*, Linear*, ResidualBranch*, PatchEmbedding*,
                           MultiheadAttention*, WindowAttention*>;

// Visits the layers in the order of PyTorch's state dict and modules().
void for_each_layer(Nodes& nodes, const std::string& prefix,
                    const std::function<void(const std::string& path, Layer)>& visit);

// Visits the layers in the order in which torchvision's constructors make them and draw random numbers. Calls `made`
// after the layers of a Sequential.
void for_each_constructed(Nodes& nodes, const std::function<void(Layer)>& visit,
                          const std::function<void(Sequential&)>& made);

// Calls visit(head) for all auxiliary heads among these nodes.
void for_each_auxiliary_head(Nodes& nodes, const std::function<void(AuxiliaryHead&)>& visit);

// Makes the tensors of all layers without memory: see the layers' outline().
void outline(Nodes& nodes);

struct LayerSummary {
  std::string name, type;
  Shape output_shape;  // of one image, without the batch
  int64_t parameters, multiply_adds;
};
// Returns the layers in the order of execution for one image of height x width. Throws as check_image_size().
std::vector<LayerSummary> summarize(const Network& network, int64_t height, int64_t width);

// Throws ERR_INVALID_ARGUMENT if the network does not accept images of this size or would reduce them to nothing. The
// message says which sizes it accepts.
void check_image_size(const Network& network, int64_t height, int64_t width);

}  // namespace visiontorch::nn
