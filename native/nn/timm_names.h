#pragma once

#include <string>
#include <vector>

#include "nn/network.h"

namespace visiontorch::nn {

// The names that timm (PyTorch Image Models) has for the tensors of torchvision's networks. Networks that timm builds
// differently have none: Swin V2 and MaxViT among them, and MobileNetV3 and the larger EfficientNets unless their batch
// norms have timm's epsilon.
bool is_in_timm(const Network& network);
// timm's name for a tensor of a network that is_in_timm(); often the same.
std::string timm_name(const Network& network, const std::string& name);
// Returns the tensor's shape in timm.
std::vector<int64_t> timm_shape(const std::string& timm_name, at::IntArrayRef shape);

}  // namespace visiontorch::nn
