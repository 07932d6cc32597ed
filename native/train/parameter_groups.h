#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/network.h"

namespace visiontorch::train {

// What differs between the parameters of a network for the optimizer. The weight decays are those of torchvision's
// references (references/classification/train.py); what has none of its own has the optimizer's.
struct GroupOptions {
  std::optional<double> norm_weight_decay{};  // of batch norms and layer norms
  std::optional<double> bias_weight_decay{};  // of all biases, also of norms
  std::optional<double> embedding_decay{};    // of a transformer's class token, position embedding and position biases
  // The learning rate of a stage is multiplied by this for each stage after it, and once more for the classifier
  // (Clark et al. 2020, arXiv:2003.10555; timm's layer_decay).
  std::optional<double> layer_decay{};
};

// Parameters with the same learning rate and weight decay.
struct ParameterGroup {
  std::vector<std::string> names;  // in the state dict
  double learning_rate_scale;
  std::optional<double> weight_decay;
};

// Every parameter of the network is in exactly one group. Groups are in the order of the first parameter with their
// weight decay and scale.
std::vector<ParameterGroup> parameter_groups(nn::Network& network, const GroupOptions& options);

}  // namespace visiontorch::train
