#pragma once

#include <string>
#include <vector>

#include "nn/network.h"

namespace visiontorch::nn {

// The names that timm (PyTorch Image Models) has for the tensors of torchvision's networks. Networks that timm builds
// differently have none: MaxViT among them, and MobileNetV3 and the larger EfficientNets unless their batch norms have
// timm's epsilon.
bool is_in_timm(const Network& network);
// timm's name for a tensor of a network that is_in_timm(); often the same.
std::string timm_name(const Network& network, const std::string& name);
// Returns the name of the second of two tensors in which timm stores a tensor, or "" for all others. The first one has
// the name `timm_name`. In Swin V2 they are the first and the last third of qkv.bias; the second third is zero.
std::string timm_second_name(const std::string& timm_name);
// Returns the shape in timm: of each tensor if there are two.
std::vector<int64_t> timm_shape(const std::string& timm_name, at::IntArrayRef shape);

}  // namespace visiontorch::nn
