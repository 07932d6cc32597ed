#include "nn/mlp.h"

#include <ATen/ATen.h>

#include "nn/init.h"

namespace visiontorch::nn {

namespace {

void redraw(Nodes& nodes, at::Generator& generator) {
  for (Node& node : nodes) {
    Linear* linear = std::get_if<Linear>(&node.block);
    if (auto* block = std::get_if<LinearActivation>(&node.block)) linear = &block->linear;
    if (linear == nullptr) continue;
    xavier_uniform_(linear->weight, generator);
    linear->bias.normal_(0, 1e-6, generator);
  }
}

}  // namespace

Sequential mlp(int64_t features, int64_t hidden, double dropout) {
  return {{{"", LinearActivation{Linear{features, hidden}, Activation::GELU}},
           {"2", Dropout{dropout}},
           {"3", Linear{hidden, features}},
           {"4", Dropout{dropout}}},
          redraw};
}

}  // namespace visiontorch::nn
