#include "nn/network.h"

namespace visiontorch::nn {

namespace {

struct Summarizer {
  std::vector<LayerSummary> layers;

  // Appends the rows of these nodes and returns the shape of their output.
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
  // An auxiliary head runs in training only.
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
  Shape visit(const PreactivatedConvolution& block, const std::string& path, const Shape& input) {
    const Shape shape = visit(block.convolution, path, visit(block.before, path, input));
    return block.pool ? visit(*block.pool, join_name(path, "pool"), shape) : shape;
  }
  Shape visit(const DenseBlock& block, const std::string& path, const Shape& input) {
    Shape shape = input;
    for (const DenseLayer& layer : block.layers) {
      const std::string name = join_name(path, layer.name);
      const Shape growth = visit(layer.growth, name, visit(layer.hidden, name, shape));
      if (layer.drop_rate > 0) visit(Dropout{layer.drop_rate}, join_name(name, "dropout"), growth);
      shape[0] += growth[0];
      add(path, "Concat", shape);
    }
    return shape;
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
    run(block.shortcut, path, input);
    const Shape output = run(block.body, path, input);
    int64_t scales = block.scale_shape.empty() ? 0 : 1;
    for (int64_t size : block.scale_shape) scales *= size;
    if (scales > 0) add(join_name(path, "layer_scale"), "Mul", output, scales);
    return add(path, "Add", output);
  }
  Shape visit(const PatchEmbedding& block, const std::string& path, const Shape& input) {
    const Shape tokens = block.output_shape(input);
    visit(block.conv, join_name(path, "conv_proj"), input);
    const int64_t features = tokens[1];
    add(join_name(path, "class_token"), "Concat", tokens, features);
    return add(join_name(path, "encoder.pos_embedding"), "Add", tokens, tokens[0] * features);
  }
  Shape visit(const ClassToken& block, const std::string& path, const Shape& input) {
    return add(path, "ClassToken", block.output_shape(input));
  }
  Shape visit(const MultiheadAttention& block, const std::string& path, const Shape& input) {
    visit(block.in_proj, join_name(path, "in_proj"), input);
    add(path, "MultiheadAttention", input, 0, 2 * input[0] * input[0] * input[1]);
    return visit(block.out_proj, join_name(path, "out_proj"), input);
  }
  Shape visit(const WindowAttention& block, const std::string& path, const Shape& input) {
    auto padded = [&](int64_t size) { return (size + block.window - 1) / block.window * block.window; };
    const Shape shape = {padded(input[0]), padded(input[1]), input[2]};
    visit(block.qkv, join_name(path, block.names.qkv), shape);
    const int64_t side = 2 * block.window - 1;
    int64_t parameters = side * side * block.heads;
    if (block.kind == WindowAttention::Kind::SwinV2) {
      const Shape hidden = visit(block.bias_hidden, join_name(path, "cpb_mlp.0"), {side, side, 2});
      visit(block.bias_out, join_name(path, "cpb_mlp.2"),
            visit(Activation::ReLU, join_name(path, "cpb_mlp.1"), hidden));
      parameters = block.heads;  // of logit_scale
    }
    add(path, "WindowAttention", shape, parameters, 2 * shape[0] * shape[1] * block.tokens() * shape[2]);
    return visit(block.proj, join_name(path, block.names.proj), input);
  }
  Shape visit(const PatchMerging& block, const std::string& path, const Shape& input) {
    const Shape output = block.output_shape(input), joined = {output[0], output[1], 4 * input[2]};
    const std::string norm = join_name(path, "norm"), reduction = join_name(path, "reduction");
    if (block.norm_first) {
      visit(block.norm, norm, joined);
      return visit(block.reduction, reduction, joined);
    }
    return visit(block.norm, norm, visit(block.reduction, reduction, joined));
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

std::vector<LayerSummary> summarize(const Network& network, int64_t height, int64_t width) {
  check_image_size(network, height, width);
  Summarizer summarizer;
  const Shape features = summarizer.run(network.backbone, "", {3, height, width});
  summarizer.run(network.classifier, "", features);
  return std::move(summarizer.layers);
}

}  // namespace visiontorch::nn
