#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "nn/network.h"

namespace visiontorch::nn {

// Draws the parameters that torchvision's constructor draws after torch.manual_seed(seed), in the same order and hence
// bit for bit the same.
void initialize(Network& network, uint64_t seed);

// PyTorch's own defaults for what replace_classifier() made, as when a new head is put on a torchvision model in
// Python.
void initialize_classifier(Network& network, uint64_t seed);

// What several families draw after PyTorch's defaults: kaiming_normal_(mode='fan_out', nonlinearity='relu') for
// convolutions' weights, normal_(0, linear_std) for linear layers' (unset: these keep their defaults), zeros for
// biases.
void redraw_normal(Network& network, std::optional<double> linear_std, at::Generator& generator);

// Calls draw(layer) for all layers of the network in the order of PyTorch's modules().
void redraw_layers(Network& network, const std::function<void(Layer)>& draw);

// torch.nn.init's functions of these names, operation by operation.
void trunc_normal_(at::Tensor& tensor, double std, at::Generator& generator);  // within [-2, 2]; std at most 2
void kaiming_uniform_(at::Tensor& weight, at::Generator& generator, double a = 0);
void kaiming_normal_(at::Tensor& weight, at::Generator& generator);  // mode='fan_in'
void xavier_uniform_(at::Tensor& tensor, at::Generator& generator);  // of a matrix [out, in]

}  // namespace visiontorch::nn
