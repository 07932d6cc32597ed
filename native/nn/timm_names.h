#pragma once

#include <string>
#include <vector>

#include "nn/network.h"

namespace visiontorch::nn {

// The names that timm (PyTorch Image Models) has for the tensors of torchvision's networks. Networks that timm builds
// differently, with other epsilons or padding, have none: MobileNetV3, EfficientNetV2 and Swin V2 among them.
bool is_in_timm(const std::string& architecture);
// timm's name for a tensor of a network that is_in_timm(); often the same.
std::string timm_name(const Network& network, const std::string& name);
// The shape of the tensor there.
std::vector<int64_t> timm_shape(const std::string& timm_name, at::IntArrayRef shape);

}  // namespace visiontorch::nn
