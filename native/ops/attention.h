#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace visiontorch::ops {

// Computes multi-head attention among the tokens of each window of an image.
class Attention {
 public:
  struct Settings {
    int64_t heads;
    std::vector<float> scales;  // of the scores, for each head
    bool cosine = false;        // queries and keys are divided by their lengths first
    // Each window's tokens by their positions in the image, [windows, tokens]; -1: a token outside of the image, whose
    // queries, keys and values are `padding` [3 * features].
    std::vector<int64_t> positions;
    int64_t windows = 1;
    at::Tensor padding{};
    // Added to the scores, in float32: [heads, tokens, tokens] and [windows, tokens, tokens]; or undefined.
    at::Tensor bias{}, mask{};
  };

  static bool supports(int64_t depth, at::ScalarType type);  // depth: features of a head

  Attention(Settings settings, at::ScalarType type);

  // qkv: queries, keys and values of all tokens of images, [n, ..., 3 * features] -> [n, ..., features].
  at::Tensor operator()(const at::Tensor& qkv) const;

 private:
  Settings settings_;
};

}  // namespace visiontorch::ops
