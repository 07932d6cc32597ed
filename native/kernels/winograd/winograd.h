#pragma once

#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/types.h"

namespace visiontorch::kernels {

// Winograd's minimal filtering F(4 x 4, 3 x 3): Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// arXiv:1509.09308. The interpolation points are 0, +-3/4, +-3/2 and infinity: these are exact in binary, and have half
// the rounding error of the usual 0, +-1, +-2 (Barabasz et al., arXiv:1803.10986, discuss such choices).
struct Winograd {
  static constexpr std::int64_t kOut = 4, kIn = 6, kPoints = kIn * kIn;
};

// A 3 x 3 convolution with stride 1 and padding 1. Transformed pixels and weights have the type Factor when they are
// multiplied; sums are float32 for every type.
template <class T, class Factor = float>
struct WinogradConvolution {
  std::int64_t height, width, in_channels, out_channels;
  Panels panels;          // of one point's matrix [in_channels, out_channels]
  const Factor* weights;  // transformed, [panel][point]; or null
  // If `weights` is null and Factor is float, the untransformed weights [out_channels][in_channels][3][3], with both
  // numbers multiples of `lanes`; they are transformed just before they are multiplied.
  const float* filters;
  const float* bias;  // [out_channels], padded to the panels' width
  const T* images;
  T* out;
  std::int64_t stride;  // of the outputs, from pixel to pixel
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

// The work of one call: some tiles of all images, at most kWinogradTiles, and some panels of channels.
struct WinogradPart {
  std::int64_t first_tile, last_tile, first_panel, last_panel;
  bool gathered = false;  // whether the scratch memory already has the inputs of these tiles from an earlier call
};
constexpr std::int64_t kWinogradTiles = 60;
constexpr std::int64_t kMaxFilterChannels = 128;  // channels whose filters are transformed at a time
std::int64_t winograd_scratch(std::int64_t in_channels, const Panels& panels);  // in floats

// Computes points = G w G^T of `width` filters w at once, for packed weights.
struct WinogradFilters {
  static constexpr std::int64_t kMaxWidth = 64;
  const float* filters;  // [9][width], rows filter_stride apart
  std::int64_t filter_stride, width;
  float* points;  // [kPoints][width], rows point_stride apart
  std::int64_t point_stride;
};

// Computes the transpose of that, for the gradient of weights: filters = G^T points G.
struct WinogradFilterGradients {
  const float* points;  // [kPoints][width], rows point_stride apart
  std::int64_t point_stride, width;
  float* filters;  // [9][width], rows filter_stride apart
  std::int64_t filter_stride;
};

}  // namespace visiontorch::kernels
