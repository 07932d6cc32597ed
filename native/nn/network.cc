#include "nn/network.h"

#include <ATen/ATen.h>

#include <cstring>

namespace visiontorch::nn {

std::string join_name(const std::string& prefix, const std::string& name) {
  if (prefix.empty()) return name;
  return name.empty() ? prefix : prefix + "." + name;
}

void for_each_leaf(Nodes& nodes, const std::string& prefix,
                   const std::function<void(const std::string&, Node&)>& visit) {
  for (Node& node : nodes) {
    const std::string path = join_name(prefix, node.name);
    if (auto* sequential = std::get_if<Sequential>(&node.op)) {
      for_each_leaf(sequential->children, path, visit);
    } else if (auto* residual = std::get_if<Residual>(&node.op)) {
      for_each_leaf(residual->body, path, visit);
      for_each_leaf(residual->shortcut, path, visit);
    } else {
      visit(path, node);
    }
  }
}

std::vector<Entry> Network::entries() {
  std::vector<Entry> result;
  for (bool in_classifier : {false, true}) {
    for_each_leaf(in_classifier ? classifier : backbone, "", [&](const std::string& path, Node& node) {
      auto add = [&](const char* name, at::Tensor& tensor, bool is_parameter) {
        result.push_back({join_name(path, name), &tensor, is_parameter, in_classifier});
      };
      if (auto* conv = std::get_if<Conv2d>(&node.op)) {
        add("weight", conv->weight, true);
        if (conv->has_bias) add("bias", conv->bias, true);
      } else if (auto* norm = std::get_if<BatchNorm2d>(&node.op)) {
        add("weight", norm->weight, true);
        add("bias", norm->bias, true);
        add("running_mean", norm->running_mean, false);
        add("running_var", norm->running_var, false);
        add("num_batches_tracked", norm->num_batches_tracked, false);
      } else if (auto* linear = std::get_if<Linear>(&node.op)) {
        add("weight", linear->weight, true);
        add("bias", linear->bias, true);
      }
    });
  }
  return result;
}

Network Network::clone() const {
  Network copy = *this;
  for (Entry& entry : copy.entries()) *entry.tensor = aligned(*entry.tensor).detach().clone();
  return copy;
}

at::Tensor aligned(const at::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  if (address % tensor.element_size() == 0) return tensor;
  at::Tensor copy = at::empty(tensor.sizes(), tensor.options());
  std::memcpy(copy.mutable_data_ptr(), tensor.const_data_ptr(), tensor.nbytes());
  return copy;
}

void outline(Nodes& nodes) {
  const auto meta = at::TensorOptions(at::kFloat).device(at::kMeta);
  for_each_leaf(nodes, "", [&](const std::string&, Node& node) {
    if (auto* conv = std::get_if<Conv2d>(&node.op)) {
      const int64_t k = conv->kernel_size;
      conv->weight = at::empty({conv->out_channels, conv->in_channels / conv->groups, k, k}, meta);
      if (conv->has_bias) conv->bias = at::empty({conv->out_channels}, meta);
    } else if (auto* norm = std::get_if<BatchNorm2d>(&node.op)) {
      norm->weight = at::ones({norm->num_features}, at::kFloat);
      norm->bias = at::zeros({norm->num_features}, at::kFloat);
      norm->running_mean = at::zeros({norm->num_features}, at::kFloat);
      norm->running_var = at::ones({norm->num_features}, at::kFloat);
      norm->num_batches_tracked = at::zeros({}, at::kLong);
    } else if (auto* linear = std::get_if<Linear>(&node.op)) {
      linear->weight = at::empty({linear->out_features, linear->in_features}, meta);
      linear->bias = at::empty({linear->out_features}, meta);
    }
  });
}

}  // namespace visiontorch::nn
