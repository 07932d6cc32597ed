#include "nn/blocks.h"

namespace visiontorch::nn {

Shape Residual::output_shape(const Shape& input) const {
  Shape shape = input;
  for (const Conv2dNormActivation& part : body) shape = part.output_shape(shape);
  return shape;
}

Shape InvertedResidual::output_shape(const Shape& input) const {
  return project.output_shape(depthwise.output_shape(expand ? expand->output_shape(input) : input));
}

Shape Sequential::output_shape(const Shape& input) const { return nn::output_shape(children, input); }

Shape output_shape(const Nodes& nodes, const Shape& input) {
  Shape shape = input;
  for (const Node& node : nodes)
    shape = std::visit([&](const auto& block) { return block.output_shape(shape); }, node.block);
  return shape;
}

std::string join_name(const std::string& prefix, const std::string& name) {
  if (prefix.empty()) return name;
  return name.empty() ? prefix : prefix + "." + name;
}

}  // namespace visiontorch::nn
