#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/network.h"

namespace visiontorch::nn {

// torchvision's constructor arguments; each family reads its own.
struct Options {
  std::optional<double> dropout;
  double width_mult = 1.0;
  std::vector<std::vector<int64_t>> inverted_residual_setting;  // rows of t, c, n, s; empty: the paper's
  int64_t round_nearest = 8;
  bool zero_init_residual = false;
  std::optional<int64_t> groups, width_per_group;  // unset: the architecture's
  std::vector<bool> replace_stride_with_dilation = {false, false, false};
};

// Names of all architectures, torchvision's: "vgg11" ... "wide_resnet101_2".
std::vector<std::string> architectures();

// The network without tensors. Throws ERR_INVALID_ARGUMENT for an unknown name or options that do not fit.
Network describe(const std::string& architecture, int64_t num_classes, const Options& options);

// The network with parameters to be initialised or loaded (see outline()); throws as describe().
Network create(const std::string& architecture, int64_t num_classes, const Options& options);

// Puts a new head, to be initialised or loaded, for `num_classes` on the network: VGG's three layers, else the last
// one.
void replace_classifier(Network& network, int64_t num_classes, const Options& options);

// The families. `create` finds them by name.
struct Family {
  std::string architecture;
  Network (*build)(const std::string& architecture, int64_t num_classes, const Options& options);
};
std::vector<Family> vgg_family();
std::vector<Family> mobilenet_v2_family();
std::vector<Family> resnet_family();

}  // namespace visiontorch::nn
