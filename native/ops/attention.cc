#include "ops/attention.h"

#include <ATen/ATen.h>

#include <utility>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::ops {

bool Attention::supports(int64_t depth, at::ScalarType type) {
  return has_kernels(type) && (type == at::kFloat || depth % 2 == 0);
}

Attention::Attention(Settings settings, at::ScalarType type) : settings_(std::move(settings)) {
  if (settings_.padding.defined()) settings_.padding = settings_.padding.to(type).contiguous();
  if (settings_.bias.defined()) settings_.bias = settings_.bias.contiguous();
  if (settings_.mask.defined()) settings_.mask = settings_.mask.contiguous();
}

at::Tensor Attention::operator()(const at::Tensor& input) const {
  const Settings& s = settings_;
  const at::Tensor qkv = input.contiguous();
  std::vector<int64_t> sizes = qkv.sizes().vec();
  const int64_t n = sizes[0], features = sizes.back() / 3, depth = features / s.heads;
  const int64_t image = qkv.numel() / n / (3 * features);  // tokens
  const int64_t tokens = static_cast<int64_t>(s.positions.size()) / s.windows, square = tokens * tokens;
  const int64_t threads = at::get_num_threads(), scratch_size = table().attention_scratch(tokens, depth);
  const int64_t queries = s.queries > 0 ? s.queries : tokens, results = s.queries > 0 ? s.queries : image;
  at::Tensor scratch = at::empty({threads, scratch_size}, at::kFloat);
  float* memory = scratch.mutable_data_ptr<float>();
  // Each thread has memory after the results, for those of tokens outside of the image.
  const int64_t total = n * results * features;
  at::Tensor y = at::empty({total + (s.padding.defined() ? threads * features : 0)}, qkv.options());
  const float* bias = s.bias.defined() ? s.bias.const_data_ptr<float>() : nullptr;
  const float* mask = s.mask.defined() ? s.mask.const_data_ptr<float>() : nullptr;
  // If there are many windows, a task is a window with all its heads; otherwise, it is one head.
  const int64_t heads = n * s.windows >= 8 * threads ? s.heads : 1, groups = s.heads / heads;
  with_type(qkv.scalar_type(), [&]<class T>(T) {
    const T* outside = s.padding.defined() ? data<T>(s.padding) : nullptr;
    T* out = mutable_data<T>(y);
    parallel_tasks(n * s.windows * groups, [&](int64_t task, int thread) {
      const int64_t window = task / groups % s.windows, item = task / groups / s.windows;
      std::vector<const T*> rows(tokens);
      std::vector<int64_t> offsets(queries);
      for (int64_t head = task % groups * heads; head < (task % groups + 1) * heads; head++) {
        for (int64_t i = 0; i < tokens; i++) {
          const int64_t position = s.positions[window * tokens + i];
          const T* row = position < 0 ? outside : data<T>(qkv) + (item * image + position) * 3 * features;
          rows[i] = row + head * depth;
          if (i >= queries) continue;
          const int64_t result = position < 0 ? total + thread * features : (item * results + position) * features;
          offsets[i] = result + head * depth;
        }
        table().of<T>().attention({.tokens = rows.data(),
                                   .keys = features,
                                   .values = 2 * features,
                                   .count = tokens,
                                   .queries = queries,
                                   .depth = depth,
                                   .scale = s.scales[head],
                                   .cosine = s.cosine,
                                   .bias = bias ? bias + head * square : nullptr,
                                   .mask = mask ? mask + window * square : nullptr,
                                   .out = out,
                                   .offsets = offsets.data()},
                                  memory + thread * scratch_size);
      }
    });
  });
  sizes.back() = features;
  if (s.queries > 0) sizes = {n, s.queries, features};
  return y.narrow(0, 0, total).view(sizes);
}

}  // namespace visiontorch::ops
