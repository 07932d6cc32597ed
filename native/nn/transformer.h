#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/layers.h"

namespace visiontorch::nn {

// The blocks of vision transformers. Their tokens are rows {tokens, features}, or the pixels of a channels-last image
// {height, width, channels}.

// Turns an image's patches into tokens, prepends the class token, and adds the position embedding: torchvision's
// VisionTransformer up to its encoder. It accepts images of one size only.
struct PatchEmbedding {
  int64_t image_size;
  Conv2d conv;
  at::Tensor class_token{}, positions{};  // [1, 1, features], [1, 1 + patches, features]

  int64_t length() const { return 1 + image_size / conv.stride * (image_size / conv.stride); }
  Shape output_shape(const Shape&) const { return {length(), conv.out_channels}; }
  std::vector<LayerTensor> tensors();
  void outline();
};

// Selects the class token, which is the first one.
struct ClassToken {
  Shape output_shape(const Shape& input) const { return {input.back()}; }
};

// Self-attention: torch.nn.MultiheadAttention(batch_first=True). Vaswani et al. 2017, arXiv:1706.03762.
struct MultiheadAttention {
  int64_t features, heads;
  double dropout = 0;  // of the attention's weights
  // In a network's last layer, only the class token is read afterwards, so the back ends leave out the other results.
  bool only_class_token = false;
  Linear in_proj{features, 3 * features}, out_proj{features, features};

  Shape output_shape(const Shape& input) const { return input; }
  std::vector<LayerTensor> tensors();  // of in_proj
  void outline();
};

// Self-attention among the tokens of each window of an image {height, width, channels}. Each head adds a bias to the
// scores that depends on the relative position of the two tokens. Liu et al. 2021, arXiv:2103.14030 (Swin Transformer),
// and 2022, arXiv:2111.09883 (version 2); Tu et al. 2022, arXiv:2204.01697 (MaxViT).
struct WindowAttention {
  enum class Kind : uint8_t {
    Swin,    // a window is a square of window x window tokens; images are padded to a multiple of it
    SwinV2,  // the same, but scores are cosines of queries and keys, and a small network computes the bias
    MaxViT,  // the same, without padding
    Grid,    // MaxViT: a window is a grid of window x window tokens that are equally spaced over the image
  };
  struct Names {
    std::string qkv = "qkv", proj = "proj";
  };

  Kind kind;
  int64_t channels, heads, window;
  int64_t shift = 0;   // by how many tokens the windows are shifted down and to the right, wrapping around
  double dropout = 0;  // of the attention's weights
  Names names{};
  Linear qkv{channels, 3 * channels}, proj{channels, channels};
  at::Tensor position_index{};  // int64: the row of bias_table for each pair of tokens; always relative_positions()
  at::Tensor bias_table{};      // [(2 * window - 1)^2, heads]; not for SwinV2
  // SwinV2 only.
  at::Tensor logit_scale{}, coordinates{};  // [heads, 1, 1]; [1, 2 * window - 1, 2 * window - 1, 2]
  Linear bias_hidden{2, 512}, bias_out{512, heads, false};

  int64_t tokens() const { return window * window; }  // per window
  double scale() const;                               // factor of the scores; not for SwinV2
  Shape output_shape(const Shape& input) const { return input; }
  std::vector<LayerTensor> tensors();  // without those of the linear layers
  void outline();

  // [tokens * tokens], int64, on the CPU.
  at::Tensor relative_positions() const;
  // Returns the inputs of SwinV2's small network for each relative position, on a logarithmic scale.
  at::Tensor relative_coordinates() const;
};

// Merges each 2 x 2 tokens of an image {height, width, channels} into one with twice the channels. An odd size is
// padded with zeros.
struct PatchMerging {
  int64_t channels;
  bool norm_first;  // true in version 1; version 2 applies the norm last
  Linear reduction{4 * channels, 2 * channels, false};
  LayerNorm norm{norm_first ? 4 * channels : 2 * channels};

  Shape output_shape(const Shape& input) const { return {(input[0] + 1) / 2, (input[1] + 1) / 2, 2 * channels}; }
};

// Adapts a position embedding [1, 1 + patches, features] to images with another number of patches: torchvision's
// interpolate_embeddings(). The number of features must stay the same, and both numbers of patches must be squares.
bool can_interpolate_positions(const at::Tensor& positions, at::IntArrayRef shape);
at::Tensor interpolate_positions(const at::Tensor& positions, int64_t length);

}  // namespace visiontorch::nn
