#pragma once

#include <string>
#include <vector>

#include "nn/network.h"
#include "nn/options.h"

namespace visiontorch::nn {

// A family of networks, described in one file. Everything that lists networks reads families().
struct Family {
  std::string name;                        // "resnet"
  std::vector<std::string> architectures;  // torchvision's names: "resnet18" ... "wide_resnet101_2"
  std::vector<std::string> options;        // names of the constructor's options in JavaScript
  std::string classifier_layer;            // name in the state dict of the layer whose outputs are the classes
  // Returns the network without tensors. Throws ERR_INVALID_ARGUMENT for unsuitable options.
  Network (*describe)(const std::string& architecture, int64_t num_classes, const Options& options);
};
const std::vector<Family>& families();

// Returns the network without tensors. Throws ERR_INVALID_ARGUMENT for an unknown name or unsuitable options.
Network describe(const std::string& architecture, int64_t num_classes, const Options& options);

// Returns the network with parameters that must still be initialized or loaded (see outline()). Throws as describe().
Network create(const std::string& architecture, int64_t num_classes, const Options& options);

// Gives the network a new classifier for `num_classes`, which must still be initialized or loaded: all layers after the
// backbone (VGG has three), and the last one of each auxiliary head.
void replace_classifier(Network& network, int64_t num_classes, const Options& options);

}  // namespace visiontorch::nn
