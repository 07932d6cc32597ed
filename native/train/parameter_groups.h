#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/network.h"

namespace visiontorch::train {

// How the optimizer treats different parameters of a network. The weight decays are those of torchvision's references
// (references/classification/train.py); parameters without a decay of their own use the optimizer's.
struct GroupOptions {
  std::optional<double> norm_weight_decay{};  // of batch norms and layer norms
  std::optional<double> bias_weight_decay{};  // of all biases, including those of norms
  std::optional<double> embedding_decay{};    // of a transformer's class token, position embedding and position biases
  // The learning rate of a stage is multiplied by this once for each stage after it, and once for the classifier (Clark
  // et al. 2020, arXiv:2003.10555; timm's layer_decay).
  std::optional<double> layer_decay{};
};

// Parameters with the same learning rate and weight decay.
struct ParameterGroup {
  std::vector<std::string> names;  // in the state dict
  double learning_rate_scale;
  std::optional<double> weight_decay;
};

// Divides the network's parameters into groups, each parameter into exactly one. The groups are in the order of their
// first parameters.
std::vector<ParameterGroup> parameter_groups(nn::Network& network, const GroupOptions& options);

}  // namespace visiontorch::train
