#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// Computes a depthwise convolution for some rows, channel by channel, so that the values that neighboring rows share
// are still in the first-level cache.
template <class T>
struct Depthwise {
  const T* const* rows;  // [(out_rows - 1) * stride + kernel_size], each starting at the first window
  std::int64_t out_rows, out_width, channels;
  std::int64_t kernel_size, stride;  // see supports_depthwise()
  const float* weights;              // [kernel_size * kernel_size][weight_stride]; the first `channels` are used
  std::int64_t weight_stride;
  const float* bias;  // [channels]
  T* out;             // [out_rows][out_width], pixels out_stride apart
  std::int64_t out_stride;
  Activation activation;
  float* sums = nullptr;  // [out_rows], sum_stride apart: the sums of each row's outputs, [channels]; or null
  std::int64_t sum_stride = 0;
};

constexpr bool supports_depthwise(std::int64_t kernel_size, std::int64_t stride) {
  return kernel_size == 7 ? stride == 1 : (kernel_size == 3 || kernel_size == 5) && (stride == 1 || stride == 2);
}

// A depthwise convolution in training, with a kernel that supports_depthwise(), padded so that stride 1 keeps the size.
// The forward kernel computes the output rows [first, last) of one image. The backward kernel computes the gradient of
// the corresponding input rows, and adds their share to the gradient of the weights.
template <class T>
struct DepthwiseTraining {
  std::int64_t height, width, channels;  // of the input
  std::int64_t kernel_size, stride;
  const float* weights;        // [kernel_size * kernel_size][weight_stride]
  std::int64_t weight_stride;  // a multiple of `lanes`
  const float* bias;           // [weight_stride]
  const T* x;                  // [height][width][channels]
  std::int64_t first, last;
  const T* zeros;  // [channels]
  T* nowhere;      // [channels], for discarded results
  T* y = nullptr;
  const T* gradient = nullptr;
  T* dx = nullptr;
  float* weight_gradients = nullptr;  // laid out like the weights
};

}  // namespace visiontorch::kernels
