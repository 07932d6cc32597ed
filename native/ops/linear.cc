#include "ops/linear.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

bool Linear::supports(at::ScalarType type) { return has_kernels(type); }

Linear::Linear(const at::Tensor& weight, const at::Tensor& bias, at::ScalarType type)
    : weight_(weight.to(type).contiguous()), bias_(bias.contiguous()) {}

at::Tensor Linear::operator()(const at::Tensor& input, std::optional<nn::Activation> activation) const {
  constexpr int64_t kRows = 96;  // of weights in a task: enough to make up for reading the inputs
  const at::Tensor x = input.to(weight_.scalar_type()).contiguous();
  const int64_t outputs = weight_.size(0), threads = at::get_num_threads();
  at::Tensor y = at::empty({x.size(0), outputs}, at::kFloat);
  const int64_t tasks = threads * std::max<int64_t>(1, outputs / (threads * kRows));
  with_type(weight_.scalar_type(), [&]<class T>(T) {
    parallel_tasks(tasks, [&](int64_t task, int) {
      const kernels::Linear<T> layer{.x = data<T>(x),
                                     .count = x.size(0),
                                     .inputs = x.size(1),
                                     .outputs = outputs,
                                     .weights = data<T>(weight_),
                                     .bias = bias_.const_data_ptr<float>(),
                                     .first = outputs * task / tasks,
                                     .last = outputs * (task + 1) / tasks,
                                     .out = y.mutable_data_ptr<float>(),
                                     .activation = kind(activation)};
      table().of<T>().linear(layer);
    });
  });
  return y;
}

}  // namespace visiontorch::ops
