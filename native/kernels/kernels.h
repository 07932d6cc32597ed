#pragma once

#include <cstdint>

namespace visiontorch::kernels {

// This project's own kernels for convolutions and matrix products, on plain memory, in float32 and, where the processor
// multiplies bfloat16, in that. Images lie channels-last: [n, height, width, channels]. Each function does a part of
// the work on the calling thread; who calls decides on the threads. The same source is compiled for several instruction
// sets: see table().

// The upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;
};

enum class Activation : std::uint8_t { None, ReLU, ReLU6 };

// What is done to a result before it is stored: activation(result + bias + residual).
template <class T>
struct Epilogue {
  Activation activation = Activation::None;
  const T* residual = nullptr;  // laid out like the output
};

// A matrix [rows, columns] of weights cut into panels of a few vectors' width: [count][rows][width], which the product
// reads in one stream. Columns that the last panel has too many hold zeros. In bfloat16, rows lie in pairs:
// [count][rows / 2][width][2].
struct Panels {
  std::int64_t rows, columns, width, count;
  std::int64_t stride() const { return rows * width; }  // from panel to panel
  std::int64_t padded_columns() const { return count * width; }
};

// out[m, :] = epilogue(sum over taps of rows[tap][m][0 .. depth) x weights), for m in [0, count) and the panels
// [first, last). rows: [taps][count] pointers; out: stride values from row to row. Sums are float32 in any case. In
// bfloat16 the depth is even.
template <class In, class Out>
struct Product {
  const In* const* rows;
  std::int64_t count, taps, depth;
  Panels panels;  // of [taps * depth, out channels]
  const In* weights;
  const float* bias;  // [padded_columns], or null
  std::int64_t first, last;
  Out* out;
  std::int64_t stride;
  Epilogue<Out> epilogue;
  // Where not null, out[m, :] lies at out + offsets[m] instead, and its residual likewise.
  const std::int64_t* offsets = nullptr;
};

// to[column, row] = from[row, column]. The strides are from row to row, of each.
struct Transposition {
  const float* from;
  std::int64_t stride, rows, columns;
  float* to;
  std::int64_t to_stride;
};

// out[m, o] = activation(sum over k of x[m, k] * weights[o, k] + bias[o]), for m in [0, count) and the outputs
// [first, last): a linear layer with its weights as they are stored. Sums are float32 in any case.
template <class T>
struct Linear {
  const T* x;  // [count, inputs]
  std::int64_t count, inputs, outputs;
  const T* weights;   // [outputs, inputs]
  const float* bias;  // [outputs]
  std::int64_t first, last;
  float* out;  // [count, outputs]
  Activation activation;
};

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

// out[row, tap * tap_stride + column] = sum over t in [0, count) of a[t][row] * b[tap][t][column], added to what is
// there unless it is the `first` of several such sums.
template <class T>
struct Accumulation {
  const T* const* a = nullptr;  // [count] pointers
  const T* const* b = nullptr;  // [taps][count] pointers
  std::int64_t count = 0;       // at most kAccumulated
  std::int64_t taps = 1, rows, columns;
  float* out;
  std::int64_t stride, tap_stride = 0;  // stride: from row to row
  bool first = false;
  // Rows that the next sum will read, of a and of one tap of b: fetched into the cache meanwhile.
  const T *const *next_a = nullptr, *const *next_b = nullptr;  // [next_count] pointers
  std::int64_t next_count = 0;
};
constexpr std::int64_t kAccumulated = 128;
std::int64_t accumulation_scratch(std::int64_t rows, std::int64_t columns);  // in floats, for any count

// What one call computes: these of all images' tiles, at most kWinogradTiles, and these panels of channels.
struct WinogradPart {
  std::int64_t first_tile, last_tile, first_panel, last_panel;
  bool gathered = false;  // whether the scratch memory holds these tiles' inputs already, from a call before
};
constexpr std::int64_t kWinogradTiles = 60;
// Rows in the scratch memory are so many floats longer than their contents: at a distance of a power of two they would
// share few sets of the cache.
constexpr std::int64_t kPad = 16;
constexpr std::int64_t kMaxFilterChannels = 128;  // whose filters are transformed at a time
std::int64_t winograd_scratch(std::int64_t in_channels, const Panels& panels);  // in floats

// A depthwise convolution of 3 x 3 over some rows: channel after channel, so that what neighbouring rows share is still
// in the first-level cache.
template <class T>
struct Depthwise {
  const T* const* rows;  // [(out_rows - 1) * stride + 3], each from one pixel left of the first window
  std::int64_t out_rows, out_width, channels, stride;
  const float* weights;  // [9][weight_stride], of which the first `channels` are used
  std::int64_t weight_stride;
  const float* bias;  // [channels]
  T* out;             // [out_rows][out_width][channels]
  Activation activation;
};

// A depthwise convolution of 3 x 3 with padding 1 and stride 1 or 2 in training: those of one image's output rows
// [first, last), for which `y` is computed; or, backward, the gradient of the input rows that begin with them, and what
// the weights' gradient comes to there, added to what is there.
template <class T>
struct TrainedDepthwise {
  std::int64_t height, width, channels, stride;  // of the input
  const float* weights;                          // [9][weight_stride]
  std::int64_t weight_stride;                    // a multiple of `lanes`
  const T* x;                                    // [height][width][channels]
  std::int64_t first, last;
  const T* zeros;  // [channels]
  T* nowhere;      // [channels], for what is not to be kept
  T* y = nullptr;
  const T* gradient = nullptr;
  T* dx = nullptr;
  float* weight_gradients = nullptr;  // [9][weight_stride]
};

// out[i, c] = sum over parts[group][i][c] + bias[c] + residual[i, c].
template <class T>
struct Combination {
  const float* parts;
  std::int64_t groups, rows, channels;
  const float* bias;
  const T* residual;  // or null
  T* out;
};

// Batch norm in training, over some of the rows (pixels) of an image batch, one after the other. `stream` asks to write
// past the caches, for what is too large to be there still when it is read next.

// sum[c] and square[c]: of x[row, c] - shift[c], and of its square. A shift near the mean keeps the variance exact
// where the mean is large against it.
template <class T>
struct BatchNormSums {
  const T* x;
  std::int64_t rows, channels;
  const float* shift;
  float *sum, *square;
};

// From row to row of bits, one for each channel, in bytes.
constexpr std::int64_t bits_stride(std::int64_t channels) { return (channels + 15) / 16 * 2; }

// y = activation(x * scale + offset + residual), scale and offset by channel.
template <class T>
struct BatchNorm {
  const T* x;
  std::int64_t rows, channels;
  const float *scale, *offset;
  const T* residual;  // or null
  Activation activation;
  T* y;
  bool stream;
  std::uint8_t* passes = nullptr;  // bits: whether the activation's derivative is 1 (else 0), where not null
};

// Of g, the gradient where the activation lets it pass: where the bits of BatchNorm are set, or everywhere.
template <class T>
struct BatchNormGradient {
  const T *gradient, *x;
  std::int64_t rows, channels;
  const float* mean;
  const std::uint8_t* passes = nullptr;
  bool stream;
  // batch_norm_gradient_sums: of g and of g * (x - mean); g itself, where not null: it may take the gradient's place.
  float *sum = nullptr, *dot = nullptr;
  T* passed = nullptr;
  // batch_norm_gradient: dx = g * of_gradient + (x - mean) * of_centered + constant, these by channel.
  const float *of_gradient = nullptr, *of_centered = nullptr, *constant = nullptr;
  T* dx = nullptr;
};

// What training takes in each type.
template <class T>
struct TrainingKernels {
  void (*accumulate)(const Accumulation<T>&, float* scratch);
  void (*winograd_inputs)(const WinogradTiles<T>&);
  void (*winograd_gradients)(const WinogradTiles<T>&);
  void (*depthwise)(const TrainedDepthwise<T>&);
  void (*depthwise_gradients)(const TrainedDepthwise<T>&);
  void (*batch_norm_sums)(const BatchNormSums<T>&);
  void (*batch_norm)(const BatchNorm<T>&);
  void (*batch_norm_gradient_sums)(const BatchNormGradient<T>&);
  void (*batch_norm_gradient)(const BatchNormGradient<T>&);
};

// One instruction set's kernels.
struct Table {
  const char* name;
  std::int64_t lanes;
  // The widest panels that share the columns evenly, and of which `parts` divides the number where that is possible.
  Panels (*layout)(std::int64_t rows, std::int64_t columns, std::int64_t parts);
  std::int64_t (*tile_rows)(const Panels&);  // rows that the product takes at a time
  void (*transpose)(const Transposition&);
  void (*multiply)(const Product<float, float>&);
  void (*linear)(const Linear<float>&);
  void (*winograd)(const WinogradConvolution<float>&, const WinogradPart&, float* scratch);
  void (*depthwise)(const Depthwise<float>&);
  void (*combine)(const Combination<float>&);
  TrainingKernels<float> training;
  // Null where the processor does not multiply bfloat16.
  void (*multiply_bfloat16)(const Product<BFloat16, BFloat16>&) = nullptr;
  void (*multiply_to_float)(const Product<BFloat16, float>&) = nullptr;
  void (*multiply_to_bfloat16)(const Product<float, BFloat16>&) = nullptr;
  void (*linear_bfloat16)(const Linear<BFloat16>&) = nullptr;
  void (*winograd_bfloat16)(const WinogradConvolution<BFloat16>&, const WinogradPart&, float* scratch) = nullptr;
  void (*winograd_all_bfloat16)(const WinogradConvolution<BFloat16, BFloat16>&, const WinogradPart&,
                                float* scratch) = nullptr;
  void (*depthwise_bfloat16)(const Depthwise<BFloat16>&) = nullptr;
  void (*combine_bfloat16)(const Combination<BFloat16>&) = nullptr;
  TrainingKernels<BFloat16> training_bfloat16 = {};
};

// The best kernels for this processor; null where it has neither AVX-512 nor AVX2 with FMA. The environment variable
// VISIONTORCH_KERNELS, read once, chooses lesser ones: "avx512" (without bfloat16), "avx2", or "onednn" for null.
const Table* table();

#if defined(__x86_64__)
extern const Table kAvx2, kAvx512, kAvx512Bf16;
#endif

}  // namespace visiontorch::kernels
