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
    std::vector<float> scales;  // factors of the scores, per head
    bool cosine = false;        // queries and keys are divided by their lengths first
    // The positions in the image of each window's tokens, [windows, tokens]. -1 is a token outside of the image, whose
    // query, key and value come from `padding` [3 * features].
    std::vector<int64_t> positions;
    int64_t windows = 1;
    at::Tensor padding{};
    int64_t queries = 0;  // only of so many tokens, the first ones, if there is one window; 0: of all
    // Float32 terms that are added to the scores, [heads, tokens, tokens] and [windows, tokens, tokens], or undefined.
    at::Tensor bias{}, mask{};
  };

  static bool supports(int64_t depth, at::ScalarType type);  // depth: features per head

  Attention(Settings settings, at::ScalarType type);

  // qkv: queries, keys and values of all tokens of images, [n, ..., 3 * features] -> [n, ..., features], or
  // [n, queries, features].
  at::Tensor operator()(const at::Tensor& qkv) const;

 private:
  Settings settings_;
};

}  // namespace visiontorch::ops
