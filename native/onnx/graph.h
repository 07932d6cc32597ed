#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "nn/layers.h"

namespace visiontorch::onnx {

// A network as a list of ONNX operations, each with one output.

using Attribute = std::variant<int64_t, double, std::vector<int64_t>>;
using Attributes = std::vector<std::pair<std::string, Attribute>>;

struct Operation {
  std::string type;                 // "Conv"
  std::vector<std::string> inputs;  // outputs of earlier operations, tensors, or the graph's input
  std::string output;
  Attributes attributes;
};

struct Graph {
  std::string input, output;
  std::vector<Operation> operations;  // in the order of execution
  std::vector<std::pair<std::string, at::Tensor>>
      tensors;  // float32 or integers, contiguous, on the CPU; nobody else's
};

// An output of an operation: its name, and its shape without the batch.
struct Value {
  std::string name;
  nn::Shape shape;
};

// Appends operations to a graph, and names their tensors and outputs.
class Builder {
 public:
  explicit Builder(int64_t opset) : opset(opset) {}

  // Returns the name of the output, which starts with `path`.
  std::string add(const std::string& path, const std::string& type, std::vector<std::string> inputs,
                  Attributes attributes = {});

  // Each of these adds a tensor and returns its name.
  std::string tensor(const std::string& name, const at::Tensor& values);
  std::string scalar(double value);                          // float32, without dimensions
  std::string integers(const std::vector<int64_t>& values);  // int64, with one dimension

  // `shape` has all dimensions but the first, the batch, which may have any size.
  std::string reshape(const std::string& path, const std::string& x, nn::Shape shape);
  // `axes` includes the batch.
  std::string transpose(const std::string& path, const std::string& x, std::vector<int64_t> axes);
  // Selects the range [begin, end) along one axis.
  std::string slice(const std::string& path, const std::string& x, int64_t axis, int64_t begin, int64_t end);

  // Names the last operation's output `name` and returns the graph.
  Graph finish(const std::string& input, const std::string& name);

  const int64_t opset;

 private:
  std::string unique(const std::string& name);

  Graph graph_;
  std::map<std::string, int64_t> names_;   // how often each name was requested
  std::map<double, std::string> scalars_;  // the existing ones, to be shared
  std::map<std::vector<int64_t>, std::string> integers_;
};

}  // namespace visiontorch::onnx
