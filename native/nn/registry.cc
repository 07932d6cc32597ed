#include "nn/registry.h"

#include <algorithm>

#include "runtime/error.h"

namespace visiontorch::nn {

// Each is defined in a file of its own.
Family vgg_family();
Family mobilenet_v2_family();
Family mobilenet_v3_family();
Family efficientnet_family();
Family regnet_family();
Family mnasnet_family();
Family resnet_family();
Family densenet_family();
Family shufflenet_v2_family();
Family squeezenet_family();
Family alexnet_family();
Family googlenet_family();
Family inception_v3_family();
Family convnext_family();
Family vision_transformer_family();
Family swin_transformer_family();
Family maxvit_family();

const std::vector<Family>& families() {
  static const std::vector<Family> all = {vgg_family(),
                                          mobilenet_v2_family(),
                                          mobilenet_v3_family(),
                                          efficientnet_family(),
                                          regnet_family(),
                                          mnasnet_family(),
                                          resnet_family(),
                                          densenet_family(),
                                          shufflenet_v2_family(),
                                          squeezenet_family(),
                                          alexnet_family(),
                                          googlenet_family(),
                                          inception_v3_family(),
                                          convnext_family(),
                                          vision_transformer_family(),
                                          swin_transformer_family(),
                                          maxvit_family()};
  return all;
}

Network describe(const std::string& architecture, int64_t num_classes, const Options& options) {
  for (const Family& family : families()) {
    const auto& names = family.architectures;
    if (std::find(names.begin(), names.end(), architecture) != names.end())
      return family.describe(architecture, num_classes, options);
  }
  throw Error("ERR_INVALID_ARGUMENT", "architecture: unknown network '" + architecture + "'");
}

Network create(const std::string& architecture, int64_t num_classes, const Options& options) {
  Network network = describe(architecture, num_classes, options);
  outline(network.backbone);
  outline(network.classifier);
  return network;
}

void replace_classifier(Network& network, int64_t num_classes, const Options& options) {
  Network changed = describe(network.architecture, num_classes, options);
  outline(changed.classifier);
  network.classifier = std::move(changed.classifier);
  Nodes outputs;
  for_each_auxiliary_head(changed.backbone,
                          [&](AuxiliaryHead& auxiliary) { outputs.push_back(std::move(auxiliary.head.back())); });
  outline(outputs);
  size_t next = 0;
  for_each_auxiliary_head(network.backbone,
                          [&](AuxiliaryHead& auxiliary) { auxiliary.head.back() = std::move(outputs[next++]); });
  network.num_classes = num_classes;
}

}  // namespace visiontorch::nn
