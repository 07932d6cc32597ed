#pragma once

#include <ATen/core/Tensor.h>

namespace visiontorch {

// Gives the next gradient of a parameter a place in memory, such as one in a larger tensor, so that nobody has to copy
// it there. The place has the size and strides of the parameter; an undefined one takes it back, at the latest before
// the parameter is destroyed. Backward passes that do not know places put the gradient elsewhere.
void set_gradient_place(const at::Tensor& parameter, const at::Tensor& place);

// Returns the place, which is then taken, or an undefined tensor.
at::Tensor take_gradient_place(const at::Tensor& parameter);

}  // namespace visiontorch
