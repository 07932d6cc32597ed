#include "nn/network.h"
#include "runtime/error.h"

namespace visiontorch::nn {

namespace {

using Shape = std::vector<int64_t>;  // {channels, height, width} or {features}

struct Summarizer {
  std::vector<LayerSummary> layers;

  void run(const Nodes& nodes, const std::string& prefix, Shape& shape) {
    for (const Node& node : nodes) visit(node, join_name(prefix, node.name), shape);
  }

 private:
  void visit(const Node& node, const std::string& path, Shape& shape) {
    auto add = [&](const char* type, int64_t parameters = 0, int64_t multiply_adds = 0) {
      layers.push_back({path, type, shape, parameters, multiply_adds});
    };
    std::visit(Overload{
                   [&](const Conv2d& op) {
                     slide(path, shape, op.dilation * (op.kernel_size - 1) + 1, op.stride, op.padding);
                     shape[0] = op.out_channels;
                     const int64_t weights =
                         op.out_channels * (op.in_channels / op.groups) * op.kernel_size * op.kernel_size;
                     add("Conv2d", weights + (op.has_bias ? op.out_channels : 0), weights * shape[1] * shape[2]);
                   },
                   [&](const BatchNorm2d& op) { add("BatchNorm2d", 2 * op.num_features); },
                   [&](const Linear& op) {
                     shape = {op.out_features};
                     add("Linear", (op.in_features + 1) * op.out_features, op.in_features * op.out_features);
                   },
                   [&](const Activation& op) { add(op.kind == Activation::ReLU ? "ReLU" : "ReLU6"); },
                   [&](const MaxPool2d& op) {
                     slide(path, shape, op.kernel_size, op.stride, op.padding);
                     add("MaxPool2d");
                   },
                   [&](const AdaptiveAvgPool2d& op) {
                     shape = {shape[0], op.output_size, op.output_size};
                     add("AdaptiveAvgPool2d");
                   },
                   [&](const Flatten&) {
                     shape = {shape[0] * shape[1] * shape[2]};
                     add("Flatten");
                   },
                   [&](const Dropout&) { add("Dropout"); },
                   [&](const Sequential& op) { run(op.children, path, shape); },
                   [&](const Residual& op) {
                     Shape input = shape;
                     run(op.body, path, shape);
                     run(op.shortcut, path, input);
                     add(op.relu ? "Add, ReLU" : "Add");
                   },
               },
               node.op);
  }

  static void slide(const std::string& path, Shape& shape, int64_t window, int64_t stride, int64_t padding) {
    for (int axis : {1, 2}) {
      const int64_t room = shape[axis] + 2 * padding - window;
      if (room < 0)
        throw Error("ERR_INVALID_ARGUMENT",
                    "inputSize: the image is too small for this network, nothing is left of it at " + path +
                        "; use at least 32");
      shape[axis] = room / stride + 1;
    }
  }
};

}  // namespace

std::vector<LayerSummary> summarize(const Network& network, int64_t size) {
  Summarizer summarizer;
  Shape shape = {3, size, size};
  summarizer.run(network.backbone, "", shape);
  summarizer.run(network.classifier, "", shape);
  return std::move(summarizer.layers);
}

}  // namespace visiontorch::nn
