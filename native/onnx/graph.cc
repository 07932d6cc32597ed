#include "onnx/graph.h"

#include <ATen/ATen.h>

namespace visiontorch::onnx {

std::string Builder::unique(const std::string& name) {
  const int64_t count = names_[name]++;
  return count == 0 ? name : unique(name + "_" + std::to_string(count));
}

std::string Builder::add(const std::string& path, const std::string& type, std::vector<std::string> inputs,
                         Attributes attributes) {
  graph_.operations.push_back({type, std::move(inputs), unique(path + "/" + type), std::move(attributes)});
  return graph_.operations.back().output;
}

std::string Builder::tensor(const std::string& name, const at::Tensor& values) {
  const at::ScalarType type = values.is_floating_point() ? at::kFloat : values.scalar_type();
  at::Tensor copy = at::empty(values.sizes(), at::TensorOptions(type));
  copy.copy_(values.detach());
  graph_.tensors.emplace_back(unique(name), std::move(copy));
  return graph_.tensors.back().first;
}

std::string Builder::scalar(double value) {
  std::string& name = scalars_[value];
  if (name.empty()) name = tensor("scalar", at::scalar_tensor(value, at::kFloat));
  return name;
}

std::string Builder::integers(const std::vector<int64_t>& values) {
  std::string& name = integers_[values];
  if (name.empty()) name = tensor("integers", at::tensor(at::ArrayRef<int64_t>(values)));
  return name;
}

std::string Builder::reshape(const std::string& path, const std::string& x, nn::Shape shape) {
  shape.insert(shape.begin(), -1);
  return add(path, "Reshape", {x, integers(shape)});
}

std::string Builder::transpose(const std::string& path, const std::string& x, std::vector<int64_t> axes) {
  return add(path, "Transpose", {x}, {{"perm", std::move(axes)}});
}

std::string Builder::slice(const std::string& path, const std::string& x, int64_t axis, int64_t begin, int64_t end) {
  return add(path, "Slice", {x, integers({begin}), integers({end}), integers({axis})});
}

Graph Builder::finish(const std::string& input, const std::string& name) {
  graph_.input = input;
  graph_.output = graph_.operations.back().output = name;
  return std::move(graph_);
}

}  // namespace visiontorch::onnx
