#include "ops/layer_norm.h"

#include <ATen/ATen.h>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

bool LayerNorm::supports(at::ScalarType type) { return has_kernels(type); }

LayerNorm::LayerNorm(const nn::LayerNorm& norm)
    : weight_(norm.weight.detach().contiguous()), bias_(norm.bias.detach().contiguous()), eps_(norm.eps) {}

at::Tensor LayerNorm::operator()(const at::Tensor& input) const {
  constexpr int64_t kGrain = 16384;  // values per task
  const at::Tensor x = input.contiguous();
  const int64_t channels = weight_.size(0), rows = x.numel() / channels;
  at::Tensor y = at::empty_like(x);
  with_type(x.scalar_type(), [&]<class T>(T) {
    T* out = mutable_data<T>(y);
    parallel_ranges(rows, kGrain / channels + 1, [&](int64_t begin, int64_t end) {
      table().of<T>().layer_norm({.x = data<T>(x) + begin * channels,
                                  .count = end - begin,
                                  .channels = channels,
                                  .weight = weight_.const_data_ptr<float>(),
                                  .bias = bias_.const_data_ptr<float>(),
                                  .eps = static_cast<float>(eps_),
                                  .out = out + begin * channels});
    });
  });
  return y;
}

}  // namespace visiontorch::ops
