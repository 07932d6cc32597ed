#include "nn/network.h"

namespace visiontorch::nn {

namespace {

struct Summarizer {
  std::vector<LayerSummary> layers;

  // Adds the rows of these nodes and returns the shape of their output.
  Shape run(const Nodes& nodes, const std::string& prefix, Shape shape) {
    for (const Node& node : nodes) {
      const std::string path = join_name(prefix, node.name);
      shape = std::visit([&](const auto& block) { return visit(block, path, shape); }, node.block);
    }
    return shape;
  }

 private:
  Shape add(const std::string& path, const std::string& type, Shape output, int64_t parameters = 0,
            int64_t multiply_adds = 0) {
    layers.push_back({path, type, output, parameters, multiply_adds});
    return output;
  }

  Shape visit(const Conv2d& conv, const std::string& path, const Shape& input) {
    const Shape output = conv.output_shape(input);
    const int64_t weights = conv.weight_count(), bias = conv.has_bias ? conv.out_channels : 0;
    return add(path, "Conv2d", output, weights + bias, weights * output[1] * output[2]);
  }
  Shape visit(const BatchNorm2d& norm, const std::string& path, const Shape& input) {
    return add(path, "BatchNorm2d", norm.output_shape(input), 2 * norm.num_features);
  }
  Shape visit(const LayerNorm& norm, const std::string& path, const Shape& input) {
    return add(path, norm.of_channels ? "LayerNorm2d" : "LayerNorm", input, 2 * norm.features);
  }
  Shape visit(Activation activation, const std::string& path, const Shape& input) {
    return add(path, name_of(activation), input);
  }
  Shape visit(const Linear& linear, const std::string& path, const Shape& input) {
    const Shape output = linear.output_shape(input);
    int64_t positions = 1;
    for (size_t axis = 0; axis + 1 < output.size(); axis++) positions *= output[axis];
    const int64_t weights = linear.in_features * linear.out_features, bias = linear.has_bias ? linear.out_features : 0;
    return add(path, "Linear", output, weights + bias, weights * positions);
  }
  Shape visit(const MaxPool2d& pool, const std::string& path, const Shape& input) {
    return add(path, "MaxPool2d", pool.output_shape(input));
  }
  Shape visit(const AvgPool2d& pool, const std::string& path, const Shape& input) {
    return add(path, "AvgPool2d", pool.output_shape(input));
  }
  Shape visit(const AdaptiveAvgPool2d& pool, const std::string& path, const Shape& input) {
    return add(path, "AdaptiveAvgPool2d", pool.output_shape(input));
  }
  Shape visit(const Flatten& flatten, const std::string& path, const Shape& input) {
    return add(path, "Flatten", flatten.output_shape(input));
  }
  Shape visit(const Permute& permute, const std::string& path, const Shape& input) {
    return add(path, "Permute", permute.output_shape(input));
  }
  Shape visit(const ChannelSlice& block, const std::string& path, const Shape& input) {
    return add(path, "Slice", block.output_shape(input));
  }
  Shape visit(const ChannelShuffle&, const std::string& path, const Shape& input) {
    return add(path, "ChannelShuffle", input);
  }
  Shape visit(const ChannelAffine&, const std::string& path, const Shape& input) { return add(path, "Affine", input); }
  // Only training computes it.
  Shape visit(const AuxiliaryHead& block, const std::string& path, const Shape& input) {
    const size_t first = layers.size();
    run(block.head, path, input);
    for (size_t i = first; i < layers.size(); i++) layers[i].multiply_adds = 0;
    return input;
  }
  Shape visit(const Dropout&, const std::string& path, const Shape& input) { return add(path, "Dropout", input); }

  Shape visit(const Conv2dNormActivation& block, const std::string& path, const Shape& input) {
    Shape shape = visit(block.conv, join_name(path, block.names.conv), input);
    if (block.norm) visit(*block.norm, join_name(path, block.names.norm), shape);
    if (block.activation) visit(*block.activation, join_name(path, block.names.activation), shape);
    return shape;
  }
  Shape visit(const NormActivation& block, const std::string& path, const Shape& input) {
    visit(block.norm, join_name(path, block.names.norm), input);
    return visit(block.activation, join_name(path, block.names.activation), input);
  }
  Shape visit(const LinearActivation& block, const std::string& path, const Shape& input) {
    const Shape shape = visit(block.linear, join_name(path, block.names.linear), input);
    return visit(block.activation, join_name(path, block.names.activation), shape);
  }
  Shape visit(const SqueezeExcitation& block, const std::string& block_path, const Shape& input) {
    const std::string path = join_name(block_path, block.name);
    const Shape mean = add(join_name(path, "avgpool"), "AdaptiveAvgPool2d", {input[0], 1, 1});
    const Shape hidden = visit(block.fc1, join_name(path, "fc1"), mean);
    visit(block.activation, join_name(path, "activation"), hidden);
    visit(block.scale_activation, join_name(path, "scale_activation"),
          visit(block.fc2, join_name(path, "fc2"), hidden));
    return add(path, "Mul", input);
  }
  Shape visit(const Concat& block, const std::string& path, const Shape& input) {
    for (const Node& branch : block.branches) run({branch}, path, input);
    return add(path, "Concat", block.output_shape(input));
  }
  Shape visit(const ResidualBranch& block, const std::string& path, const Shape& input) {
    run(block.body, path, input);
    int64_t scales = block.scale_shape.empty() ? 0 : 1;
    for (int64_t size : block.scale_shape) scales *= size;
    if (scales > 0) add(join_name(path, "layer_scale"), "Mul", input, scales);
    return add(path, "Add", input);
  }
  Shape visit(const Sequential& block, const std::string& path, const Shape& input) {
    return run(block.children, path, input);
  }
  Shape visit(const Residual& block, const std::string& path, const Shape& input) {
    Shape shape = input;
    for (const Conv2dNormActivation& part : block.body) {
      if (block.excitation && &part == &block.body.back()) visit(*block.excitation, path, shape);
      shape = visit(part, path, shape);
    }
    if (block.downsample) visit(*block.downsample, path, input);
    return add(path, block.activation ? std::string("Add, ") + name_of(*block.activation) : "Add", shape);
  }
  Shape visit(const InvertedResidual& block, const std::string& path, const Shape& input) {
    Shape shape = block.expand ? visit(*block.expand, path, input) : input;
    shape = visit(block.depthwise, path, shape);
    if (block.excitation) visit(*block.excitation, path, shape);
    shape = visit(block.project, path, shape);
    return block.residual ? add(path, "Add", shape) : shape;
  }
};

}  // namespace

std::vector<LayerSummary> summarize(const Network& network, int64_t size) {
  check_image_size(network, size, size);
  Summarizer summarizer;
  const Shape features = summarizer.run(network.backbone, "", {3, size, size});
  summarizer.run(network.classifier, "", features);
  return std::move(summarizer.layers);
}

}  // namespace visiontorch::nn
