#include "nn/init.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

namespace visiontorch::nn {

namespace {

double fan_in(const at::Tensor& weight) { return static_cast<double>(weight.numel() / weight.size(0)); }

// torch.nn.Conv2d and torch.nn.Linear, reset_parameters(): kaiming_uniform_(a = sqrt(5)) for the weight, U(-b, b) with
// b = 1 / sqrt(fan_in) for the bias. Uses the operations of torch/nn/init.py in the same order, because another order
// would round differently.
void draw_uniform(at::Tensor& weight, at::Tensor& bias, at::Generator& generator) {
  weight = at::empty(weight.sizes(), at::kFloat);
  kaiming_uniform_(weight, generator, std::sqrt(5.0));
  if (bias.defined()) {
    const double bias_bound = 1 / std::sqrt(fan_in(weight));
    bias = at::empty(bias.sizes(), at::kFloat).uniform_(-bias_bound, bias_bound, generator);
  }
}

void draw(PatchEmbedding& patches, at::Generator& generator) {
  const int64_t features = patches.conv.out_channels;
  draw_uniform(patches.conv.weight, patches.conv.bias, generator);
  patches.class_token = at::zeros({1, 1, features}, at::kFloat);
  patches.positions = at::empty({1, patches.length(), features}, at::kFloat).normal_(0, 0.02, generator);
}

void draw(MultiheadAttention& attention, at::Generator& generator) {
  Linear& in = attention.in_proj;
  in.weight = at::empty({in.out_features, in.in_features}, at::kFloat);
  xavier_uniform_(in.weight, generator);
  in.bias = at::zeros({in.out_features}, at::kFloat);
  attention.out_proj.bias.zero_();
}

void draw(WindowAttention& attention, at::Generator& generator) {
  attention.position_index = attention.relative_positions().reshape(attention.position_index.sizes());
  if (attention.kind == WindowAttention::Kind::SwinV2) {
    attention.coordinates = attention.relative_coordinates();
    attention.logit_scale = at::full({attention.heads, 1, 1}, 10.0, at::kFloat).log();
  } else {
    attention.bias_table = at::empty(attention.bias_table.sizes(), at::kFloat);
    trunc_normal_(attention.bias_table, 0.02, generator);
  }
}

void draw_defaults(Nodes& nodes, at::Generator& generator) {
  for_each_constructed(
      nodes,
      [&](Layer layer) {
        std::visit(Overload{
                       [&](Conv2d* conv) { draw_uniform(conv->weight, conv->bias, generator); },
                       [](BatchNorm2d* norm) { norm->reset(); },
                       [](LayerNorm* norm) {
                         norm->weight = at::ones({norm->features}, at::kFloat);
                         norm->bias = at::zeros({norm->features}, at::kFloat);
                       },
                       [&](Linear* linear) { draw_uniform(linear->weight, linear->bias, generator); },
                       [](ResidualBranch* branch) {
                         if (branch->layer_scale.defined())
                           branch->layer_scale = at::full(branch->scale_shape, branch->initial_scale, at::kFloat);
                       },
                       [&](PatchEmbedding* patches) { draw(*patches, generator); },
                       [&](MultiheadAttention* attention) { draw(*attention, generator); },
                       [&](WindowAttention* attention) { draw(*attention, generator); },
                   },
                   layer);
      },
      [&](Sequential& made) {
        if (made.redraw) made.redraw(made.children, generator);
      });
}

void draw_kaiming_normal(at::Tensor& weight, at::Generator& generator) {
  const double fan_out = static_cast<double>(weight.size(0) * weight.size(2) * weight.size(3));
  weight.normal_(0, std::sqrt(2.0) / std::sqrt(fan_out), generator);
}

}  // namespace

void initialize_classifier(Network& network, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  draw_defaults(network.classifier, generator);
  for_each_auxiliary_head(network.backbone, [&](AuxiliaryHead& auxiliary) {
    Nodes outputs = {auxiliary.head.back()};
    draw_defaults(outputs, generator);
    auxiliary.head.back() = outputs[0];
  });
}

void initialize(Network& network, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  draw_defaults(network.backbone, generator);
  draw_defaults(network.classifier, generator);
  if (network.redraw) network.redraw(network, generator);
}

void redraw_normal(Network& network, std::optional<double> linear_std, at::Generator& generator) {
  redraw_layers(network, [&](Layer layer) {
    std::visit(Overload{
                   [&](Conv2d* conv) {
                     draw_kaiming_normal(conv->weight, generator);
                     if (conv->has_bias) conv->bias.zero_();
                   },
                   [&](Linear* linear) {
                     if (!linear_std) return;
                     linear->weight.normal_(0, *linear_std, generator);
                     linear->bias.zero_();
                   },
                   [](auto*) {},
               },
               layer);
  });
}

void redraw_layers(Network& network, const std::function<void(Layer)>& draw) {
  auto visit = [&](const std::string&, Layer layer) { draw(layer); };
  for_each_layer(network.backbone, "", visit);
  for_each_layer(network.classifier, "", visit);
}

void trunc_normal_(at::Tensor& tensor, double std, at::Generator& generator) {
  tensor.normal_(0, std, generator);
  for (;;) {
    const at::Tensor outside = (tensor < -2).logical_or(tensor > 2);
    if (!outside.any().item<bool>()) return;
    tensor.copy_(at::where(outside, at::empty_like(tensor).normal_(0, std, generator), tensor));
  }
}

void kaiming_uniform_(at::Tensor& weight, at::Generator& generator, double a) {
  const double gain = std::sqrt(2.0 / (1 + a * a));
  const double bound = std::sqrt(3.0) * (gain / std::sqrt(fan_in(weight)));
  weight.uniform_(-bound, bound, generator);
}

void kaiming_normal_(at::Tensor& weight, at::Generator& generator) {
  weight.normal_(0, std::sqrt(2.0) / std::sqrt(fan_in(weight)), generator);
}

void xavier_uniform_(at::Tensor& tensor, at::Generator& generator) {
  const auto fan_in = static_cast<double>(tensor.size(1)), fan_out = static_cast<double>(tensor.size(0));
  const double std = std::sqrt(2.0 / (fan_in + fan_out));
  const double bound = std::sqrt(3.0) * std;
  tensor.uniform_(-bound, bound, generator);
}

}  // namespace visiontorch::nn
