#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "kernels/int8/int8.h"
#include "nn/layers.h"
#include "nn/quantization.h"
#include "ops/windows.h"

namespace visiontorch::ops {

// Layers that multiply unsigned bytes by signed ones. Images in bytes are channels-last tensors of type uint8, whose
// scale the layers know: see nn::ByteScale.

// Whether this processor has kernels for bytes.
bool has_int8_kernels();

// Float32 values, which may be a permuted image, rounded to bytes of this scale; bytes as they are.
at::Tensor to_bytes(const at::Tensor& x, const nn::ByteScale& scale);

// Float32 values, rounded to those of bytes of this scale.
at::Tensor rounded(const at::Tensor& x, const nn::ByteScale& scale);

// As to_bytes() of an image [n, channels, h, w] whose channels are multiplied by factors [n, channels].
at::Tensor scaled_bytes(const at::Tensor& x, const at::Tensor& factors, const nn::ByteScale& scale);

// What a layer's result becomes.
struct Int8Output {
  std::optional<nn::Activation> activation;
  std::optional<nn::ByteScale> scale;     // of the result; null: float32
  std::optional<nn::ByteScale> residual;  // rounds the residual to these bytes; null: float32
  at::Tensor factors{};                   // [out] or undefined: what the sum and the bias are multiplied by
};

// A layer's parameters, for the order in which the kernel computes the channels.
struct Int8Parameters {
  std::vector<float> scale, bias;
  std::vector<int32_t> start;
  kernels::Requantization requantization;  // its pointers belong to the vectors
};

// A convolution, or a linear layer of many rows, as an indirect matrix product.
class Int8Convolution {
 public:
  static bool supports(const nn::Conv2d& conv);

  Int8Convolution(const nn::Conv2d& conv, const nn::QuantizedLayer& layer, const Int8Output& output);

  // x: [n, in, h, w] in bytes of the layer's input scale, or in float32. residual: undefined, or [n, out, h', w'].
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& residual = {}) const;

 private:
  // In: of bytes, or of what Int8Kernels::widen makes of them.
  template <class In, class Out>
  void multiply(const at::Tensor& x, at::Tensor& y, const at::Tensor& residual) const;

  Windows windows_;
  int64_t out_channels_, groups_;
  bool merged_;
  nn::ByteScale input_;
  Int8Output output_;
  kernels::Panels panels_;  // of each group
  at::Tensor weights_;
  Int8Parameters parameters_;  // group after group
};

class Int8Linear {
 public:
  static bool supports(const nn::Linear& linear);

  Int8Linear(const nn::Linear& linear, const nn::QuantizedLayer& layer, const Int8Output& output);

  // [..., in], in bytes or in float32 -> [..., out]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& residual = {}) const;

 private:
  Int8Convolution product_;
};

// A depthwise convolution that keeps the image's size, or halves it.
class Int8Depthwise {
 public:
  static bool supports(const nn::Conv2d& conv);

  Int8Depthwise(const nn::Conv2d& conv, const nn::QuantizedLayer& layer, const Int8Output& output);

  // `means`, of each image's pixels, becomes [n, out]. Only if the result is in float32.
  at::Tensor operator()(const at::Tensor& x, at::Tensor* means = nullptr) const;

 private:
  template <class Out>
  void run(const at::Tensor& x, at::Tensor& y, at::Tensor* means) const;

  int64_t channels_, kernel_size_, stride_;
  nn::ByteScale input_;
  bool in_bytes_;  // the result
  kernels::Panels panels_;
  at::Tensor weights_;
  Int8Parameters parameters_;
  std::vector<uint8_t> outside_;
};

// Of an image in bytes.
at::Tensor int8_max_pool(const at::Tensor& x, const nn::MaxPool2d& pool);

}  // namespace visiontorch::ops
