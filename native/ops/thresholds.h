#pragma once

#include <cstdint>

namespace visiontorch::ops::thresholds {

// The sizes from which on one algorithm for convolutions is faster than another. Each value was found by timing whole
// networks with `npm run bench -- inference training`, comparing it with the next smaller and larger value, on
// processors with AVX2 and with AVX-512. docs/performance-notes.md lists the gains.

// Winograd filtering for inference; the number of tiles of 4 x 4 outputs in a whole batch. Transformed weights are four
// times as large as the convolution's own (eight times in bfloat16), so with fewer tiles, reading them costs more than
// the filtering saves.
constexpr int64_t kWinogradTilesFloat = 16, kWinogradTilesBFloat16 = 60;

// With fewer tiles, the threads share the panels of channels instead of the tiles.
constexpr int64_t kFewWinogradTiles = 60;

// Weights of at least so many pairs of channels are transformed in each call if there are at most so many tiles. In
// VGG16, this costs 7% of the time of an image, and saves a third of the weights' memory and of the time to the first
// prediction.
constexpr int64_t kLargeWinogradWeights = 256 * 512, kMostTilesToTransformEachTime = 60;

// A norm and two linear layers, a few rows at a time: for at least so many rows and at most so many features. With more
// features, reading the weights again for each task should cost more than the cached hidden features save. These two
// were estimated, not timed.
constexpr int64_t kMlpRows = 500, kMlpFeatures = 192;

// Winograd filtering in training, which transforms the weights in every step.
constexpr int64_t kWinogradTilesTraining = 100;
// In bfloat16, outputs are filtered in float32, to be as accurate as PyTorch, while plain products of bfloat16 are
// twice as fast.
constexpr int64_t kWinogradChannelsBFloat16 = 128;

// oneDNN computes the gradients of convolutions with fewer channels, such as a network's first, because our kernels
// would spend more time on copying rows than they save.
constexpr int64_t kGradientChannels = 16;

}  // namespace visiontorch::ops::thresholds
