#include "nn/registry.h"

#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

const std::vector<Family>& all() {
  static const std::vector<Family> families = [] {
    std::vector<Family> list;
    for (const auto& family : {vgg_family(), mobilenet_v2_family(), resnet_family()})
      list.insert(list.end(), family.begin(), family.end());
    return list;
  }();
  return families;
}

}  // namespace

Network describe(const std::string& architecture, int64_t num_classes, const Options& options) {
  for (const Family& family : all())
    if (architecture == family.architecture) return family.build(architecture, num_classes, options);
  throw Error("ERR_INVALID_ARGUMENT", "architecture: unknown network '" + architecture + "'");
}

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const Family& family : all()) names.push_back(family.architecture);
  return names;
}

Network create(const std::string& architecture, int64_t num_classes, const Options& options) {
  Network network = describe(architecture, num_classes, options);
  outline(network.backbone);
  outline(network.classifier);
  return network;
}

void replace_classifier(Network& network, int64_t num_classes, const Options& options) {
  Nodes classifier = describe(network.architecture, num_classes, options).classifier;
  outline(classifier);
  network.classifier = std::move(classifier);
  network.num_classes = num_classes;
}

}  // namespace visiontorch::nn
