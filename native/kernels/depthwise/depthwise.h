#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace visiontorch::kernels {

// A depthwise convolution over some rows, one channel after the other, so that what neighboring rows share is still in
// the first-level cache.
template <class T>
struct Depthwise {
  const T* const* rows;  // [(out_rows - 1) * stride + kernel_size], each beginning where the first window does
  std::int64_t out_rows, out_width, channels;
  std::int64_t kernel_size, stride;  // see supports_depthwise()
  const float* weights;  // [kernel_size * kernel_size][weight_stride], of which the first `channels` are used
  std::int64_t weight_stride;
  const float* bias;  // [channels]
  T* out;             // [out_rows][out_width], pixels out_stride apart
  std::int64_t out_stride;
  Activation activation;
  float* sums = nullptr;  // [channels], to which the sums of the outputs are added; or null
};

constexpr bool supports_depthwise(std::int64_t kernel_size, std::int64_t stride) {
  return kernel_size == 7 ? stride == 1 : (kernel_size == 3 || kernel_size == 5) && (stride == 1 || stride == 2);
}

// A depthwise convolution 3 x 3 or 5 x 5 with stride 1 or 2 in training, padded so that stride 1 keeps the size.
// Forward, it computes the output rows [first, last) of one image. Backward, it computes the gradient of the input rows
// that belong to them, and adds their share to the gradient of the weights.
template <class T>
struct DepthwiseTraining {
  std::int64_t height, width, channels;  // of the input
  std::int64_t kernel_size, stride;
  const float* weights;        // [kernel_size * kernel_size][weight_stride]
  std::int64_t weight_stride;  // a multiple of `lanes`
  const T* x;                  // [height][width][channels]
  std::int64_t first, last;
  const T* zeros;  // [channels]
  T* nowhere;      // [channels], for results that are not kept
  T* y = nullptr;
  const T* gradient = nullptr;
  T* dx = nullptr;
  float* weight_gradients = nullptr;  // as the weights
};

}  // namespace visiontorch::kernels
