#include "eager/activate.h"

#include <ATen/ATen.h>

namespace visiontorch::eager {

at::Tensor activate_(at::Tensor x, std::optional<nn::Activation> activation) {
  if (!activation) return x;
  switch (*activation) {
    case nn::Activation::ReLU: return at::relu_(x);
    case nn::Activation::ReLU6: return at::hardtanh_(x, 0, 6);
  }
  return x;
}

}  // namespace visiontorch::eager
