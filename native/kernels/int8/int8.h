#pragma once

#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/pooling/pooling.h"
#include "kernels/types.h"

namespace visiontorch::kernels {

// Convolutions and products of activations in unsigned bytes with weights in signed ones. The sums are 32-bit integers,
// so that every instruction set computes the same. The kernels may read up to kByteSlack bytes behind the values that
// they are given, and ignore them.
constexpr std::int64_t kByteSlack = 64;

// How a sum of integers becomes a result:
//   y = clamp(sum * scale[c] + bias[c] + residual * residual_scale, low, high)
// For no activation, ReLU and ReLU6, scales and bias are in units of the result: for bytes in steps, with the zero
// point added to the bias. For other activations they are real numbers, and the result is
//   clamp(activation(y) * out_scale + out_zero, low, high).
struct Requantization {
  const float *scale, *bias;  // [padded channels]
  float residual_scale = 1;   // what a step of a residual in bytes is worth; its zero point is part of the bias
  float low, high;            // for bytes, integers
  bool is_small = false;      // for bytes: no y is 2^31 or more, so that it can be rounded before it is clamped
  Activation activation = Activation::None;
  float out_scale = 1, out_zero = 0;
};

// As IndirectGemm, for bytes.
template <class Out>
struct Int8Gemm {
  const void* const* rows;          // of bytes, or of what Int8Kernels::widen makes of them
  std::int64_t count, taps, depth;  // depth: a multiple of 4
  Panels panels;                    // of [taps * depth, out channels]
  const void* weights;              // packed by Int8Kernels::pack
  const std::int32_t* start;        // [padded_columns]: what the sums begin with
  std::int64_t first, last;
  Out* out;
  std::int64_t stride;
  Requantization requantization;
  const std::uint8_t* residual_bytes = nullptr;  // laid out like the output; at most one of them is given
  const float* residual_floats = nullptr;
  std::int64_t offset = 0;  // of the values that are multiplied, in every row
};

// Neighbouring output rows of a depthwise convolution, whose kernel has 3 x 3, 5 x 5 or 7 x 7 taps.
template <class Out>
struct Int8Depthwise {
  const std::uint8_t* const* rows;  // of the image, or `zeros`: as many as the kernel's, rounded up to a multiple of 4
  const std::uint8_t* zeros;        // a row of zero points
  std::int64_t width, channels;     // of the image
  std::int64_t kernel_size, stride, padding;
  std::int64_t out_width, out_rows;  // out_rows: at most Int8Kernels::depthwise_rows
  // In Int8Kernels::depthwise_order: [depthwise_rows][panel][kernel_size][rows][width]. The kernel of output row i
  // begins in row i * stride; the other rows are 0.
  Panels panels;
  const void* weights;
  const std::int32_t* start;  // in the same order, as the channels of the requantization
  std::int64_t first, last;   // panels
  Out* out;                   // [out_rows][out_width][channels]
  Requantization requantization;
  float* sums = nullptr;  // [out_rows][channels], of the outputs, if these are floats; or null
};

// to[pixel][c] = the byte of from[pixel][c] * factors[c]: see Int8Kernels::quantize.
struct QuantizeScaled {
  const float* from;
  const float* factors;
  std::int64_t pixels, channels;
  float inverse_scale;
  int zero_point;
  std::uint8_t* to;
};

// One instruction set's kernels for bytes.
struct Int8Kernels {
  const char* name;
  std::int64_t lanes;        // of a vector of sums
  std::int64_t weight_size;  // the bytes that a packed weight takes
  std::int32_t shift;        // the products are those of (byte - shift)
  Panels (*layout)(std::int64_t rows, std::int64_t columns, std::int64_t parts);
  std::int64_t (*tile_rows)(const Panels&);
  // Makes values of 16 bits, whose products need no conversion, of bytes; null if products read bytes.
  void (*widen)(const std::uint8_t* from, std::int64_t count, std::uint16_t* to);
  // weights: [panels.columns][panels.rows]; the rows are a multiple of 4.
  void (*pack)(const std::int8_t* weights, const Panels&, void* packed);
  void (*gemm)(const Int8Gemm<std::uint8_t>&);
  void (*gemm_to_float)(const Int8Gemm<float>&);
  void (*depthwise)(const Int8Depthwise<std::uint8_t>&, std::uint8_t* scratch);
  void (*depthwise_to_float)(const Int8Depthwise<float>&, std::uint8_t* scratch);
  void (*max_pool_row)(const MaxPoolRow<std::uint8_t>&);
  // to[i] = clamp(round(from[i] * inverse_scale) + zero_point, 0, 255), to nearest even
  void (*quantize)(const float* from, std::int64_t count, float inverse_scale, int zero_point, std::uint8_t* to);
  void (*quantize_scaled)(const QuantizeScaled&);
  // to[i] = the value of the byte of from[i]
  void (*round)(const float* from, std::int64_t count, float scale, int zero_point, float* to);

  // Of depthwise convolutions: the channels of a panel lie in this order, which makes the kernel's shuffles cheap.
  std::int64_t depthwise_width() const { return 4 * lanes; }
  std::int64_t depthwise_order(std::int64_t position) const {
    const std::int64_t width = depthwise_width(), panel = position / width * width, in_panel = position % width;
    return panel + in_panel % lanes / 4 * 16 + in_panel / lanes * 4 + in_panel % 4;
  }
  // How many output rows read no more than the rows of the kernel, rounded up to a multiple of 4.
  static std::int64_t depthwise_rows(std::int64_t kernel_size, std::int64_t stride) {
    return ((kernel_size + 3) / 4 * 4 - kernel_size) / stride + 1;
  }
  std::int64_t depthwise_scratch(std::int64_t width, std::int64_t kernel_size) const {
    return (width + 2 * kernel_size) * ((kernel_size + 3) / 4) * 4 * depthwise_width() * weight_size;
  }
};

// The kernels that go with table(); null if there are none, so that quantized networks compute in float32.
const Int8Kernels* int8_kernels();

#if defined(__x86_64__)
extern const Int8Kernels kInt8Avx2, kInt8AvxVnni, kInt8Avx512Vnni;
#elif defined(__aarch64__)
extern const Int8Kernels kInt8Dotprod, kInt8I8mm;
#endif

}  // namespace visiontorch::kernels
