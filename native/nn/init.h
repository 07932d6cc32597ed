#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "nn/network.h"

namespace visiontorch::nn {

// Draws the same parameters as torchvision's constructor after torch.manual_seed(seed), bit for bit, because it draws
// them in the same order.
void initialize(Network& network, uint64_t seed);

// Draws PyTorch's own defaults for the layers that replace_classifier() made, as in Python when a torchvision model
// gets a new head.
void initialize_classifier(Network& network, uint64_t seed);

// The initialization of several families, after PyTorch's defaults: kaiming_normal_(mode='fan_out',
// nonlinearity='relu') for the weights of convolutions, normal_(0, linear_std) for those of linear layers (if unset,
// they keep the defaults), zeros for biases.
void redraw_normal(Network& network, std::optional<double> linear_std, at::Generator& generator);

// Calls draw(layer) for all layers of the network in the order of PyTorch's modules().
void redraw_layers(Network& network, const std::function<void(Layer)>& draw);

// The functions of torch.nn.init with these names, operation by operation.
void trunc_normal_(at::Tensor& tensor, double std, at::Generator& generator);  // within [-2, 2]; std at most 2
void kaiming_uniform_(at::Tensor& weight, at::Generator& generator, double a = 0);
void kaiming_normal_(at::Tensor& weight, at::Generator& generator);  // mode='fan_in'
void xavier_uniform_(at::Tensor& tensor, at::Generator& generator);  // for a matrix [out, in]

}  // namespace visiontorch::nn
