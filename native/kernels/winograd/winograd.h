#pragma once

#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/types.h"

namespace visiontorch::kernels {

// Winograd's minimal filtering F(4 x 4, 3 x 3): Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// arXiv:1509.09308. Interpolation at 0, +-3/4, +-3/2 and infinity: exact in binary, and half the rounding error of the
// usual 0, +-1, +-2 (Barabasz et al., arXiv:1803.10986, on such choices).
struct Winograd {
  static constexpr std::int64_t kOut = 4, kIn = 6, kPoints = kIn * kIn;
};

// A convolution of 3 x 3, stride 1, padding 1. What is multiplied, transformed pixels and weights, is of type Factor;
// sums are float32 in any case.
template <class T, class Factor = float>
struct WinogradConvolution {
  std::int64_t height, width, in_channels, out_channels;
  Panels panels;          // of one point's matrix [in_channels, out_channels]
  const Factor* weights;  // transformed: panel after panel, in each all points; or null
  // Where there are none, and Factor is float: [out_channels][in_channels][3][3], both multiples of `lanes`, at any
  // address, to be transformed on the way.
  const float* filters;
  const float* bias;  // [out_channels], padded to the panels' width
  const T* images;
  T* out;
  Epilogue<T> epilogue;
};

// For the gradient of a Winograd convolution's weights: dU = sum over tiles of dM^T V, for each point. The inputs (to
// V) or the outputs' gradients (to dM) of the tiles [first, last) of all images' tiles.
template <class T>
struct WinogradTiles {
  std::int64_t height, width, channels;
  const T* images;
  std::int64_t first, last;
  T* transformed;             // [point][tile][channels]
  std::int64_t point_stride;  // from point to point
};

// What one call computes: these of all images' tiles, at most kWinogradTiles, and these panels of channels.
struct WinogradPart {
  std::int64_t first_tile, last_tile, first_panel, last_panel;
  bool gathered = false;  // whether the scratch memory holds these tiles' inputs already, from a call before
};
constexpr std::int64_t kWinogradTiles = 60;
constexpr std::int64_t kMaxFilterChannels = 128;  // whose filters are transformed at a time
std::int64_t winograd_scratch(std::int64_t in_channels, const Panels& panels);  // in floats

}  // namespace visiontorch::kernels
