#include "autograd/attention.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/dispatch.h"
#include "runtime/parallel.h"

namespace visiontorch::autograd {

using ops::table;
using Settings = ops::Attention::Settings;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// Lets autograd keep the settings.
struct SavedSettings : torch::CustomClassHolder {
  explicit SavedSettings(Settings saved) : settings(std::move(saved)) {}
  Settings settings;
};

struct Gradients {
  at::Tensor qkv, bias;
};

// Adds up the gradient of the bias in parts of the windows of all images. The parts, and so the sums, do not depend on
// the number of threads.
Gradients differentiate(const Settings& s, const at::Tensor& qkv, const at::Tensor& gradient) {
  constexpr int64_t kParts = 32;
  const int64_t features = gradient.size(-1), depth = features / s.heads;
  const int64_t image = qkv.numel() / qkv.size(0) / (3 * features);  // tokens
  const int64_t tokens = image / s.windows, square = tokens * tokens, windows = qkv.size(0) * s.windows;
  const int64_t queries = s.queries > 0 ? s.queries : tokens, results = s.queries > 0 ? s.queries : image;
  const int64_t parts = std::min(windows, kParts), groups = windows < kParts ? s.heads : 1;
  Gradients result{queries < tokens ? at::zeros_like(qkv) : at::empty_like(qkv), {}};
  at::Tensor sums;
  if (s.bias.defined()) sums = at::zeros({parts, s.heads, tokens, tokens}, at::kFloat);
  const int64_t threads = at::get_num_threads(), scratch_size = table().attention_gradient_scratch(tokens, depth);
  at::Tensor scratch = at::empty({threads, scratch_size}, at::kFloat);
  const float *in = qkv.const_data_ptr<float>(), *from = gradient.const_data_ptr<float>();
  const float* bias = s.bias.defined() ? s.bias.const_data_ptr<float>() : nullptr;
  const float* mask = s.mask.defined() ? s.mask.const_data_ptr<float>() : nullptr;
  float *out = result.qkv.mutable_data_ptr<float>(), *memory = scratch.mutable_data_ptr<float>(),
        *sum = sums.defined() ? sums.mutable_data_ptr<float>() : nullptr;
  parallel_tasks(parts * groups, [&](int64_t task, int thread) {
    const int64_t part = task / groups, group = task % groups;
    std::vector<const float*> rows(tokens), gradients(queries);
    std::vector<int64_t> offsets(tokens);
    for (int64_t i = windows * part / parts; i < windows * (part + 1) / parts; i++) {
      const int64_t item = i / s.windows, window = i % s.windows;
      for (int64_t head = s.heads * group / groups; head < s.heads * (group + 1) / groups; head++) {
        for (int64_t token = 0; token < tokens; token++) {
          const int64_t position = s.positions[window * tokens + token];
          offsets[token] = (item * image + position) * 3 * features + head * depth;
          rows[token] = in + offsets[token];
          if (token < queries) gradients[token] = from + (item * results + position) * features + head * depth;
        }
        table().attention_gradient({.tokens = rows.data(),
                                    .keys = features,
                                    .values = 2 * features,
                                    .count = tokens,
                                    .queries = queries,
                                    .depth = depth,
                                    .scale = s.scales[head],
                                    .bias = bias ? bias + head * square : nullptr,
                                    .mask = mask ? mask + window * square : nullptr,
                                    .gradients = gradients.data(),
                                    .out = out,
                                    .offsets = offsets.data(),
                                    .bias_gradient = sum ? sum + (part * s.heads + head) * square : nullptr},
                                   memory + thread * scratch_size);
      }
    }
  });
  if (sums.defined()) result.bias = sums.sum(0);
  return result;
}

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const std::optional<at::Tensor>& bias,
                            const Settings& settings) {
    const at::Tensor qkv = input.contiguous();
    auto saved = c10::make_intrusive<SavedSettings>(settings);
    if (bias) saved->settings.bias = bias->detach().contiguous();
    context->save_for_backward({qkv});
    const ops::Attention attention(saved->settings, at::kFloat);
    context->saved_data["settings"] = at::IValue::make_capsule(std::move(saved));
    return attention(qkv);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved =
        c10::static_intrusive_pointer_cast<SavedSettings>(context->saved_data.at("settings").toCapsule());
    const Gradients result =
        differentiate(saved->settings, context->get_saved_variables()[0], gradients[0].contiguous());
    return {result.qkv, result.bias, at::Tensor()};
  }
};

}  // namespace

bool supports_attention(const at::Tensor& x, int64_t depth) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && !at::autocast::is_autocast_enabled(at::kCPU) &&
         ops::Attention::supports(depth, at::kFloat);
}

at::Tensor attention(const at::Tensor& qkv, const at::Tensor& bias, const Settings& settings) {
  return AttentionFunction::apply(qkv, bias.defined() ? std::optional(bias) : std::nullopt, settings);
}

}  // namespace visiontorch::autograd
