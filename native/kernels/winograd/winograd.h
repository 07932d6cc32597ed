#pragma once

#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/types.h"

namespace visiontorch::kernels {

// Winograd's minimal filtering F(4 x 4, 3 x 3): Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// arXiv:1509.09308. It interpolates at 0, +-3/4, +-3/2 and infinity: these are exact in binary, and halve the rounding
// error of the usual 0, +-1, +-2 (Barabasz et al., arXiv:1803.10986, discuss such choices).
struct Winograd {
  static constexpr std::int64_t kOut = 4, kIn = 6, kPoints = kIn * kIn;
};

// A 3 x 3 convolution with stride 1 and padding 1. Transformed pixels and weights are multiplied in type Factor; sums
// are float32 for every type.
template <class T, class Factor = float>
struct WinogradConvolution {
  std::int64_t height, width, in_channels, out_channels;
  Panels panels;          // of one point's matrix [in_channels, out_channels]
  const Factor* weights;  // transformed: panel after panel, in each all points; or null
  // If `weights` is null and Factor is float: [out_channels][in_channels][3][3], both multiples of `lanes`,
  // to be transformed just before they are multiplied.
  const float* filters;
  const float* bias;  // [out_channels], padded to the panels' width
  const T* images;
  T* out;
  Epilogue<T> epilogue;
};

// For the gradient of a Winograd convolution's weights, dU = sum over tiles of dM^T V for each point: transforms the
// inputs (to V) or the outputs' gradients (to dM) of the tiles [first, last) of all images.
template <class T>
struct WinogradTiles {
  std::int64_t height, width, channels;
  const T* images;
  std::int64_t first, last;
  T* transformed;             // [point][tile][channels]
  std::int64_t point_stride;  // from point to point
};

// What one call computes: some tiles of all images, at most kWinogradTiles, and some panels of channels.
struct WinogradPart {
  std::int64_t first_tile, last_tile, first_panel, last_panel;
  bool gathered = false;  // whether the scratch memory already holds the inputs of these tiles, from an earlier call
};
constexpr std::int64_t kWinogradTiles = 60;
constexpr std::int64_t kMaxFilterChannels = 128;  // whose filters are transformed at a time
std::int64_t winograd_scratch(std::int64_t in_channels, const Panels& panels);  // in floats

// points = G w G^T of `width` filters w at once, for packed weights.
struct WinogradFilters {
  static constexpr std::int64_t kMaxWidth = 64;
  const float* filters;  // [9][width], rows filter_stride apart
  std::int64_t filter_stride, width;
  float* points;  // [kPoints][width], rows point_stride apart
  std::int64_t point_stride;
};

// The transposed of that, for the gradient of weights: filters = G^T points G.
struct WinogradFilterGradients {
  const float* points;  // [kPoints][width], rows point_stride apart
  std::int64_t point_stride, width;
  float* filters;  // [9][width], rows filter_stride apart
  std::int64_t filter_stride;
};

}  // namespace visiontorch::kernels
