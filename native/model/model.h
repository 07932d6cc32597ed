#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/state_dict.h"
#include "checkpoint/value.h"
#include "infer/plan.h"
#include "nn/quantization.h"
#include "nn/registry.h"
#include "onnx/graph.h"

namespace visiontorch::model {

// Backbone: the classifier's input, which is not pooled in networks that pool the classifier's output (SqueezeNet).
enum class Output { Logits, Features, Backbone };

// The part of a network that a change of its parameters affects.
enum class Part { Classifier, All };

// A network with its parameters, its device and computation type, and the inference plans made from it. Used on the
// compute thread only, except for architecture() and options(), which never change.
class Model {
 public:
  // Makes a model with torchvision's initial weights for this seed. Without a seed, the caller must load weights.
  // Throws as nn::describe().
  Model(const std::string& architecture, int64_t num_classes, const nn::Options& options, std::optional<uint64_t> seed);
  // Makes a model whose tensors are copies of the other's.
  Model(const Model& other);
  Model& operator=(const Model&) = delete;
  // Makes a quantized version of a model.
  Model(const Model& other, nn::Network network, nn::Quantization quantization);

  const std::string& architecture() const { return network_.architecture; }
  const nn::Options& options() const { return options_; }
  int64_t num_classes() const { return network_.num_classes; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }

  // An entry of the state dict, without its values.
  struct Entry {
    std::string name;
    std::vector<int64_t> sizes;
    at::ScalarType type;
    bool is_parameter;
  };
  std::vector<Entry> entries();

  // Which layers compute in integers if the type is int8; empty for a model that is not quantized.
  const nn::Quantization& quantization() const { return quantization_; }
  bool is_quantized() const { return !quantization_.layers.empty(); }
  // Returns a copy that shares no tensor with the model.
  nn::Network network() const { return network_.clone(); }
  // Returns the names of the layers that can be quantized.
  std::vector<std::string> quantizable_layers();

  // Runs the network in eval mode. images: float32 [n, 3, h, w], channels-last, on the CPU -> float32 [n, num_classes
  // or features] on the CPU, or the backbone's output. With a `scale`, the images are bytes: see input_bytes().
  at::Tensor infer(const at::Tensor& images, Output output, const std::optional<nn::ByteScale>& scale = {});
  // The bytes that the network reads, so that it need not convert images to them; null if it reads float32.
  std::optional<nn::ByteScale> input_bytes() const;

  // Returns the network for images of this size as ONNX operations: see onnx::lower().
  onnx::Graph onnx_graph(int64_t height, int64_t width, int64_t opset) const;

  // Puts a new classifier on the backbone, with PyTorch's default weights for this seed.
  void replace_classifier(int64_t num_classes, uint64_t seed);
  void move_to(at::Device device);
  // Sets the type that inference computes in, as far as compute_type() supports it; the parameters stay float32. int8
  // is for quantized models; for others, throws ERR_INVALID_ARGUMENT.
  void set_dtype(at::ScalarType dtype);

  // Loads this network's weights from the file. With `strict`, the file must hold the whole network and nothing else.
  // Throws as checkpoint::load_state_dict().
  checkpoint::Match load_state_dict(checkpoint::File& file, const checkpoint::MatchOptions& options, bool strict);
  // Returns the name of the first tensor with a value that is not finite, or "".
  std::string first_non_finite() { return checkpoint::first_non_finite(network_); }
  // Returns the state dict in PyTorch's layout. The tensors are the model's own.
  checkpoint::Value state_dict(const checkpoint::StateDictOptions& options = {}) {
    return checkpoint::state_dict(network_, options);
  }

  // Returns change(network) and drops the plans that this makes stale.
  template <class Change>
  auto change(Part part, const Change& change) {
    struct Forgetting {
      Model& model;
      Part part;
      ~Forgetting() { model.forget_plans(part); }
    } forgetting{*this, part};
    return change(network_);
  }

 private:
  infer::Plan& plan_for(at::IntArrayRef sizes, at::ScalarType type);
  // In float32, on devices without kernels for integers.
  at::Tensor simulate_integers(const at::Tensor& images, Output output);
  void forget_plans(Part part);

  nn::Network network_;
  nn::Quantization quantization_;
  const nn::Options options_;
  at::Device device_ = at::kCPU;
  at::ScalarType dtype_ = at::kFloat;
  struct CachedPlan {
    int64_t height, width;
    bool single;
    infer::Plan plan;
  };
  std::list<CachedPlan> plans_;  // most recently used first
};

}  // namespace visiontorch::model
