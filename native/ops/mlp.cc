#include "ops/mlp.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "ops/dispatch.h"
#include "ops/linear.h"
#include "ops/thresholds.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

namespace {

at::Tensor bias_of(const nn::Linear& linear) { return linear.has_bias ? linear.bias.detach() : at::Tensor(); }

}  // namespace

bool Mlp::suits(const nn::Linear& hidden, int64_t rows, at::ScalarType type) {
  return LayerNorm::supports(type) && TokenLinear::supports(hidden.in_features, type) &&
         TokenLinear::supports(hidden.out_features, type) && rows >= thresholds::kMlpRows &&
         hidden.in_features <= thresholds::kMlpFeatures;
}

Mlp::Mlp(const nn::LayerNorm& norm, const nn::Linear& hidden, nn::Activation activation, const nn::Linear& out,
         const at::Tensor& scale, at::ScalarType type)
    : type_(type),
      activation_(activation),
      norm_weight_(norm.weight.detach().contiguous()),
      norm_bias_(norm.bias.detach().contiguous()),
      eps_(norm.eps),
      hidden_(pack(scaled(hidden.weight.detach(), bias_of(hidden), {}), type)),
      out_(pack(scaled(out.weight.detach(), bias_of(out), scale), type)) {}

at::Tensor Mlp::operator()(const at::Tensor& input, const at::Tensor& residual) const {
  const at::Tensor x = input.to(type_).contiguous();
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = out_.panels.columns;
  at::Tensor y = residual.defined() ? residual.contiguous() : at::empty(sizes, x.options());
  with_type(type_, [&]<class T>(T) { run<T>(x, y, residual.defined()); });
  return y;
}

template <class T>
void Mlp::run(const at::Tensor& x, at::Tensor& y, bool adds) const {
  constexpr int64_t kHidden = 64 * 1024;  // values of a task
  const int64_t in = x.size(-1), hidden = hidden_.panels.columns, out = out_.panels.columns, rows = x.numel() / in;
  const int64_t threads = at::get_num_threads(), most = std::max<int64_t>(1, kHidden / hidden);
  const int64_t tasks = ((rows + most - 1) / most + threads - 1) / threads * threads;
  const int64_t count = (rows + tasks - 1) / tasks;  // of a task, at most
  at::Tensor scratch = at::empty({threads, count * (in + hidden)}, x.options());
  T* memory = mutable_data<T>(scratch);
  T* results = mutable_data<T>(y);
  parallel_tasks(tasks, [&](int64_t task, int thread) {
    const int64_t begin = rows * task / tasks, end = rows * (task + 1) / tasks;
    T *normal = memory + thread * scratch.size(1), *between = normal + count * in, *to = results + begin * out;
    table().of<T>().layer_norm({.x = data<T>(x) + begin * in,
                                .count = end - begin,
                                .channels = in,
                                .weight = norm_weight_.const_data_ptr<float>(),
                                .bias = norm_bias_.const_data_ptr<float>(),
                                .eps = static_cast<float>(eps_),
                                .out = normal});
    std::vector<const T*> pointers(end - begin);
    auto multiply = [&](const T* from, int64_t depth, const Packed& layer, T* result,
                        const kernels::Epilogue<T>& epilogue) {
      for (int64_t i = 0; i < end - begin; i++) pointers[i] = from + i * depth;
      gemm(kernels::IndirectGemm<T, T>{.rows = pointers.data(),
                                       .count = end - begin,
                                       .taps = 1,
                                       .depth = depth,
                                       .panels = layer.panels,
                                       .weights = data<T>(layer.weights),
                                       .bias = layer.bias.const_data_ptr<float>(),
                                       .first = 0,
                                       .last = layer.panels.count,
                                       .out = result,
                                       .stride = layer.panels.columns,
                                       .epilogue = epilogue});
    };
    multiply(normal, in, hidden_, between, {.activation = kind(activation_)});
    multiply(between, hidden, out_, to, {.residual = adds ? to : nullptr});
  });
}

}  // namespace visiontorch::ops
