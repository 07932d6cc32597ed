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
  bool in_norm;        // of a batch norm or a layer norm
  bool is_positions;   // a position embedding: see interpolate_positions()
};

struct Network {
  std::string architecture;
  int64_t num_classes;
  Nodes backbone;    // images [n, 3, h, w] -> pooled features [n, features], or those of each pixel [n, features, h, w]
  Nodes classifier;  // the backbone's output -> logits [n, num_classes]
  // Draws what torchvision's constructor draws once all layers have PyTorch's defaults, if anything.
  void (*redraw)(Network&, at::Generator&) = nullptr;
  // Names of the auxiliary heads that the network may have. A file's may be of another number of classes or absent, and
  // those that the network does not have are skipped.
  std::vector<std::string> auxiliary_heads{};
  // The name that older files have for a tensor, if it was another one; else "".
  std::string (*older_name)(const std::string& name) = nullptr;
  int64_t version = 0;                  // that torchvision's module expects of its state dict; 0: it expects none
  std::optional<int64_t> image_size{};  // the only height and width of images that the network takes

  // The state dict's entries in PyTorch's order.
  std::vector<Entry> entries();
  // A network whose tensors are copies of this one's.
  Network clone() const;
};

// A part of the backbone that is frozen, or has a learning rate, as a whole.
struct Stage {
  std::string name;
  std::vector<std::string> layers;  // their names in the state dict
};
// The children of the backbone that have parameters, in the order of execution; if a single one of these is a
// Sequential ("features"), its children are stages too.
std::vector<Stage> stages(Network& network);

// A layer, or a block, with parameters of its own.
using Layer = std::variant<Conv2d*, BatchNorm2d*, LayerNorm*, Linear*, ResidualBranch*, PatchEmbedding*,
                           MultiheadAttention*, WindowAttention*>;

// In the order of PyTorch's state dict and modules().
void for_each_layer(Nodes& nodes, const std::string& prefix,
                    const std::function<void(const std::string& path, Layer)>& visit);

// In the order in which torchvision's constructors make the layers, and so draw random numbers. `made` is called after
// the layers of a Sequential.
void for_each_constructed(Nodes& nodes, const std::function<void(Layer)>& visit,
                          const std::function<void(Sequential&)>& made);

// Calls visit(head) for all auxiliary heads among these nodes.
void for_each_auxiliary_head(Nodes& nodes, const std::function<void(AuxiliaryHead&)>& visit);

// Makes the tensors of all layers: see their outline().
void outline(Nodes& nodes);

struct LayerSummary {
  std::string name, type;
  Shape output_shape;  // of one image, without the batch
  int64_t parameters, multiply_adds;
};
// The layers in the order of execution for one image of height x width. Throws what check_image_size() does.
std::vector<LayerSummary> summarize(const Network& network, int64_t height, int64_t width);

// Throws ERR_INVALID_ARGUMENT if the network does not take images of this size, or leaves nothing of them; the message
// says which it takes.
void check_image_size(const Network& network, int64_t height, int64_t width);

}  // namespace visiontorch::nn
