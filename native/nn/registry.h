#pragma once

#include <string>
#include <vector>

#include "nn/network.h"
#include "nn/options.h"

namespace visiontorch::nn {

// Networks that are described by one file. Everything that lists networks reads families().
struct Family {
  std::string name;                        // "resnet"
  std::vector<std::string> architectures;  // torchvision's names: "resnet18" ... "wide_resnet101_2"
  std::vector<std::string> options;        // of the constructor, by their names in JavaScript
  std::string classifier_layer;            // the layer whose outputs are the classes, by its name in the state dict
  // The network without tensors. Throws ERR_INVALID_ARGUMENT for options that do not fit.
  Network (*describe)(const std::string& architecture, int64_t num_classes, const Options& options);
};
const std::vector<Family>& families();

// The network without tensors. Throws ERR_INVALID_ARGUMENT for an unknown name or options that do not fit.
Network describe(const std::string& architecture, int64_t num_classes, const Options& options);

// The network with parameters to be initialized or loaded (see outline()); throws as describe().
Network create(const std::string& architecture, int64_t num_classes, const Options& options);

// Puts a new classifier for `num_classes` on the network, to be initialized or loaded: all layers after the backbone
// (VGG has three), and the last one of each auxiliary head.
void replace_classifier(Network& network, int64_t num_classes, const Options& options);

}  // namespace visiontorch::nn
