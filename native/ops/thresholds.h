#pragma once

#include <cstdint>

namespace visiontorch::ops::thresholds {

// From which sizes on an algorithm for convolutions is the faster one. Each value was found by timing whole networks
// with `npm run bench -- inference training`, the next smaller and larger value side by side, on processors with AVX2
// and with AVX-512; docs/performance-notes.md lists what these changes gained.

// Winograd's filtering for inference, in tiles of 4 x 4 outputs of a whole batch: transformed weights are four times as
// large as the convolution's own, and eight times in bfloat16, so that with fewer tiles reading them costs more than is
// saved.
constexpr int64_t kWinogradTilesFloat = 16, kWinogradTilesBFloat16 = 60;

// With fewer tiles, the threads share the panels of channels instead of the tiles.
constexpr int64_t kFewWinogradTiles = 60;

// Weights of at least so many pairs of channels are transformed at each call if there are at most so many tiles: in
// VGG16 that costs 7% of the time of an image, and saves a third of the weights' memory and of the time to the first
// prediction.
constexpr int64_t kLargeWinogradWeights = 256 * 512, kMostTilesToTransformEachTime = 60;

// Winograd's filtering in training, which transforms the weights in every step.
constexpr int64_t kWinogradTilesTraining = 100;
// In bfloat16, outputs are filtered in float32, for PyTorch's accuracy, and products of bfloat16 are twice as fast.
constexpr int64_t kWinogradChannelsBFloat16 = 128;

// Gradients of convolutions with fewer channels, such as a network's first, are left to oneDNN: our kernels would spend
// more on copying rows than they save.
constexpr int64_t kGradientChannels = 16;

}  // namespace visiontorch::ops::thresholds
