#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <list>
#include <memory>

#include "infer/plan.h"
#include "nn/registry.h"

namespace visiontorch::infer {

// A network with where and how it computes, and the inference plans made from it. Used on the compute thread only.
class Model {
 public:
  Model(nn::Network network, nn::Options options) : network(std::move(network)), options(std::move(options)) {}

  nn::Network network;
  const nn::Options options;
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  // of inference, where compute_type() has it; the parameters stay float32

  enum class Output { Logits, Features };
  // Eval mode. images: float32 [n, 3, h, w], channels-last, on the CPU -> float32 [n, ...] on the CPU.
  at::Tensor infer(const at::Tensor& images, Output output);

  // To be called after every change of the parameters, the device or the type.
  void changed() { plans_.clear(); }
  // The same where only the classifier's parameters changed: what was prepared for the backbone stays.
  void classifier_changed();
  void move_to(at::Device to);

 private:
  Plan& plan_for(at::IntArrayRef sizes, at::ScalarType type);

  struct CachedPlan {
    int64_t height, width;
    bool single;
    Plan plan;
  };
  std::list<CachedPlan> plans_;  // most recently used first
};

}  // namespace visiontorch::infer
