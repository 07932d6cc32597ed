// Bytes: products, depthwise convolutions, pooling and rounding. Sums are compared bit for bit with plain loops, also
// for the largest values, whose products would saturate 16 bits.
#include "kernels/int8/int8.h"

#include "compare.h"

namespace visiontorch::kernels {

namespace {

constexpr int kZeroPoint = 77;

std::vector<uint8_t> bytes(int64_t count, bool extreme) {
  std::vector<uint8_t> values(count + kByteSlack);
  for (uint8_t& value : values) value = static_cast<uint8_t>(extreme && any(8) > 0 ? 255 : any(256));
  return values;
}

// In [-127, 127].
std::vector<int8_t> weights(int64_t count, bool extreme) {
  std::vector<int8_t> values(count);
  const int64_t most = any(2) > 0 ? 127 : -127;
  for (int8_t& value : values) value = static_cast<int8_t>(extreme ? most : any(255) - 127);
  return values;
}

bool is_clamp(Activation activation) { return activation <= Activation::ReLU6; }

// The parameters of a layer's outputs, in the order of the channels.
struct Layer {
  std::vector<float> scale, bias;
  Requantization requantization{};

  Layer(int64_t channels, int64_t depth, bool to_bytes, Activation activation) {
    for (float value : noise(channels))
      scale.push_back((1 + 0.5F * value) * (to_bytes ? 200 : 8) / (static_cast<float>(depth) * 128 * 127));
    bias = noise(channels);
    requantization.low = to_bytes ? 0 : -INFINITY;
    requantization.high = to_bytes ? 255 : INFINITY;
    requantization.is_small = any(2) > 0;
    if (is_clamp(activation)) {
      if (to_bytes)
        for (float& value : bias) value += 90;
      if (!requantization.is_small) scale[0] *= 1e10F;
      if (activation != Activation::None) requantization.low = to_bytes ? 90 : 0;
      if (activation == Activation::ReLU6) requantization.high = to_bytes ? 200 : 6;
      return;
    }
    requantization.activation = activation;
    if (to_bytes) {
      for (float& value : scale) value /= 20;
      requantization.out_scale = 20;
      requantization.out_zero = 90;
    }
  }
};

template <class Out>
Out result(int32_t sum, float scale, float bias, float residual, const Requantization& r) {
  float y = std::fma(static_cast<float>(sum), scale, bias);
  y = std::fma(residual, r.residual_scale, y);
  if (!is_clamp(r.activation)) y = std::fma(static_cast<float>(activated(y, r.activation)), r.out_scale, r.out_zero);
  y = std::min(std::max(y, r.low), r.high);
  if constexpr (std::is_same_v<Out, uint8_t>) return static_cast<uint8_t>(std::nearbyint(y));
  return static_cast<Out>(y);
}

// With other activations than clamps, a result may be off by a step, or by the error of the activation.
template <class Out>
void expect_equal(const std::string& kernel, std::initializer_list<int64_t> sizes, const std::vector<Out>& got,
                  const std::vector<Out>& expected, Activation activation) {
  Expected values{std::vector<double>(expected.begin(), expected.end()), 1};
  const double tolerance = is_clamp(activation) ? 0 : std::is_same_v<Out, float> ? 1e-4 : 1;
  compare(kernel, sizes, std::vector<float>(got.begin(), got.end()), values, tolerance);
}

template <class Out>
void test_gemm(const Int8Kernels& kernels, const std::string& name) {
  constexpr bool kToBytes = std::is_same_v<Out, uint8_t>;
  const auto run = [&](int64_t count, int64_t taps, int64_t depth, int64_t columns, bool extreme) {
    const auto activation = static_cast<Activation>(any(2) > 0 ? any(3) : any(9));
    const Panels panels = kernels.layout(taps * depth, columns, 1);
    const int64_t offset = any(2) * 4, row = depth + offset;
    const auto images = bytes((count + taps) * row, extreme);
    const auto matrix = weights(columns * taps * depth, extreme);
    std::vector<uint16_t> widened(images.size());
    if (kernels.widen) kernels.widen(images.data(), static_cast<int64_t>(images.size()), widened.data());
    std::vector<const uint8_t*> rows;
    std::vector<const void*> values;  // that the kernel reads
    for (int64_t tap = 0; tap < taps; tap++)
      for (int64_t m = 0; m < count; m++) {
        const int64_t at = (m + tap) * row;
        rows.push_back(images.data() + at);
        values.push_back(kernels.widen ? static_cast<const void*>(widened.data() + at) : images.data() + at);
      }
    std::vector<int8_t> packed(panels.padded_columns() * panels.rows * kernels.weight_size);
    kernels.pack(matrix.data(), panels, packed.data());
    Layer layer(columns, taps * depth, kToBytes, activation);
    std::vector<int32_t> start(panels.padded_columns());
    for (int64_t o = 0; o < columns; o++)
      for (int64_t k = 0; k < panels.rows; k++) start[o] += (kernels.shift - kZeroPoint) * matrix[o * panels.rows + k];
    std::vector<float> scale = layer.scale, bias = layer.bias;
    scale.resize(panels.padded_columns());
    bias.resize(panels.padded_columns());
    const int64_t stride = columns + any(3), kind = any(3);
    const auto residual_bytes = bytes(count * stride, false);
    const auto residual_floats = noise(count * stride);
    std::vector<Out> out(count * stride + kByteSlack, Out(7)), expected = out;
    Requantization requantization = layer.requantization;
    requantization.scale = scale.data();
    requantization.bias = bias.data();
    requantization.residual_scale = kind == 1 ? 0.02F : 1;
    Int8Gemm<Out> product{.rows = values.data(),
                          .count = count,
                          .taps = taps,
                          .depth = depth,
                          .panels = panels,
                          .weights = packed.data(),
                          .start = start.data(),
                          .first = 0,
                          .last = panels.count,
                          .out = out.data(),
                          .stride = stride,
                          .requantization = requantization,
                          .residual_bytes = kind == 1 ? residual_bytes.data() : nullptr,
                          .residual_floats = kind == 2 ? residual_floats.data() : nullptr,
                          .offset = offset};
    if constexpr (kToBytes) {
      kernels.gemm(product);
    } else {
      kernels.gemm_to_float(product);
    }
    for (int64_t m = 0; m < count; m++)
      for (int64_t o = 0; o < columns; o++) {
        int64_t sum = 0;
        for (int64_t tap = 0; tap < taps; tap++)
          for (int64_t k = 0; k < depth; k++)
            sum += (rows[tap * count + m][offset + k] - kZeroPoint) * matrix[(o * taps + tap) * depth + k];
        const int64_t at = m * stride + o;
        const float residual = kind == 1 ? residual_bytes[at] : kind == 2 ? residual_floats[at] : 0;
        expected[at] = result<Out>(static_cast<int32_t>(sum), scale[o], bias[o], residual, requantization);
      }
    expect_equal(name, {count, taps, depth, columns}, out, expected, activation);
  };
  for (bool extreme : {false, true})
    for (int64_t columns : {1, 8, 17, 24, 40, 64, 72, 128})
      for (int64_t depth : {4, 12, 64}) run(1 + any(30), 1 + any(2) * 8, depth, columns, extreme);
  run(3, 1, 25088, 20, true);
  run(2, 9, 2048, 33, true);
}

template <class Out>
void test_depthwise(const Int8Kernels& kernels, const std::string& name) {
  constexpr bool kToBytes = std::is_same_v<Out, uint8_t>;
  for (int64_t kernel : {3, 5, 7})
    for (int64_t stride : {1, 2})
      for (int64_t channels : {1, 8, 16, 40, 64, 96, 130}) {
        const auto activation = static_cast<Activation>(any(9));
        const bool extreme = any(2) > 0;
        const int64_t width = 1 + any(9), padding = kernel / 2, out_width = (width - 1) / stride + 1;
        const int64_t groups = (kernel + 3) / 4 * 4, panel = kernels.depthwise_width();
        const int64_t most_rows = kernels.depthwise_rows(kernel, stride), out_rows = 1 + any(most_rows);
        const Panels panels{kernel * groups, (channels + panel - 1) / panel * panel, panel,
                            (channels + panel - 1) / panel};
        const auto image = bytes(groups * width * channels, extreme);
        const auto filters = weights(channels * kernel * kernel, extreme);
        const std::vector<uint8_t> zeros(channels + kByteSlack, kZeroPoint);
        const int64_t outside = any(groups + 1);  // a row that is not in the image
        std::vector<const uint8_t*> rows;
        for (int64_t row = 0; row < groups; row++)
          rows.push_back(row == outside ? zeros.data() : image.data() + row * width * channels);
        Layer layer(channels, kernel * kernel, kToBytes, activation);
        const int64_t size = panels.padded_columns() * panels.rows;
        std::vector<int8_t> matrices(most_rows * size);
        std::vector<int32_t> start(panels.padded_columns());
        std::vector<float> scale(panels.padded_columns()), bias(panels.padded_columns());
        for (int64_t at = 0; at < panels.padded_columns(); at++) {
          const int64_t c = kernels.depthwise_order(at);
          if (c >= channels) continue;
          scale[at] = layer.scale[c];
          bias[at] = layer.bias[c];
          for (int64_t row = 0; row < kernel; row++)
            for (int64_t column = 0; column < kernel; column++) {
              const int8_t weight = filters[(c * kernel + row) * kernel + column];
              for (int64_t i = 0; i < most_rows; i++)
                matrices[i * size + at * panels.rows + column * groups + i * stride + row] = weight;
              start[at] += (kernels.shift - kZeroPoint) * weight;
            }
        }
        std::vector<int8_t> packed(matrices.size() * kernels.weight_size);
        for (int64_t i = 0; i < most_rows; i++)
          kernels.pack(matrices.data() + i * size, panels, packed.data() + i * size * kernels.weight_size);
        std::vector<uint8_t> scratch(kernels.depthwise_scratch(width, kernel));
        std::vector<Out> out(out_rows * out_width * channels, Out(7)), expected = out;
        Requantization requantization = layer.requantization;
        requantization.scale = scale.data();
        requantization.bias = bias.data();
        std::vector<float> sums(kToBytes ? 0 : out_rows * channels, 7), expected_sums(sums.size());
        const Int8Depthwise<Out> depthwise{.rows = rows.data(),
                                           .zeros = zeros.data(),
                                           .width = width,
                                           .channels = channels,
                                           .kernel_size = kernel,
                                           .stride = stride,
                                           .padding = padding,
                                           .out_width = out_width,
                                           .out_rows = out_rows,
                                           .panels = panels,
                                           .weights = packed.data(),
                                           .start = start.data(),
                                           .first = 0,
                                           .last = panels.count,
                                           .out = out.data(),
                                           .requantization = requantization,
                                           .sums = kToBytes ? nullptr : sums.data()};
        if constexpr (kToBytes) {
          kernels.depthwise(depthwise, scratch.data());
        } else {
          kernels.depthwise_to_float(depthwise, scratch.data());
        }
        for (int64_t i = 0; i < out_rows * out_width * channels; i++) {
          const int64_t c = i % channels, x = i / channels % out_width, y = i / channels / out_width;
          int32_t sum = 0;
          for (int64_t row = 0; row < kernel; row++)
            for (int64_t column = 0; column < kernel; column++) {
              const int64_t in = x * stride - padding + column, in_row = y * stride + row;
              if (in_row == outside || in < 0 || in >= width) continue;
              sum += (rows[in_row][in * channels + c] - kZeroPoint) * filters[(c * kernel + row) * kernel + column];
            }
          expected[i] = result<Out>(sum, layer.scale[c], layer.bias[c], 0, requantization);
        }
        expect_equal(name, {kernel, stride, channels, width}, out, expected, activation);
        if constexpr (kToBytes) continue;
        for (int64_t i = 0; i < out_rows * out_width * channels; i++)
          expected_sums[i / channels / out_width * channels + i % channels] += out[i];
        expect_equal("sums_of_depthwise", {kernel, channels, width}, sums, expected_sums, Activation::None);
      }
}

void test_max_pool(const Int8Kernels& kernels) {
  for (int64_t channels : {1, 16, 40, 64, 130}) {
    const int64_t height = 5, width = 1 + any(7), out_width = (width - 1) / 2 + 1;
    const auto image = bytes(height * width * channels, false);
    for (int64_t row = 0; row < 3; row++) {
      std::vector<uint8_t> out(out_width * channels);
      kernels.max_pool_row({.image = image.data(),
                            .height = height,
                            .width = width,
                            .channels = channels,
                            .kernel_size = 3,
                            .stride = 2,
                            .padding = 1,
                            .row = row,
                            .out_width = out_width,
                            .out = out.data()});
      std::vector<uint8_t> expected(out.size());
      for (int64_t i = 0; i < out_width * channels; i++)
        for (int64_t y = std::max<int64_t>(0, row * 2 - 1); y < std::min(height, row * 2 + 2); y++)
          for (int64_t x = std::max<int64_t>(0, i / channels * 2 - 1); x < std::min(width, i / channels * 2 + 2); x++)
            expected[i] = std::max(expected[i], image[(y * width + x) * channels + i % channels]);
      expect_equal("max_pool_bytes", {channels, width, row}, out, expected, Activation::None);
    }
  }
}

void test_quantize(const Int8Kernels& kernels) {
  for (int64_t count : {1, 7, 16, 100}) {
    std::vector<float> values = noise(count);
    for (size_t i = 0; i < values.size(); i++) values[i] *= i % 5 == 0 ? 1e9F : 3;
    values[0] = count == 7 ? 0.5F / 100 : INFINITY;
    std::vector<uint8_t> got(count), expected;
    kernels.quantize(values.data(), count, 100, kZeroPoint, got.data());
    for (float value : values)
      expected.push_back(static_cast<uint8_t>(std::clamp(std::nearbyint(value * 100) + kZeroPoint, 0.0F, 255.0F)));
    expect_equal("quantize", {count}, got, expected, Activation::None);
    std::vector<float> rounded(count), values_of_bytes;
    kernels.round(values.data(), count, 0.01F, kZeroPoint, rounded.data());
    for (uint8_t byte : expected) values_of_bytes.push_back(static_cast<float>(byte - kZeroPoint) * 0.01F);
    expect_equal("round", {count}, rounded, values_of_bytes, Activation::None);
  }
}

void test_quantize_scaled(const Int8Kernels& kernels) {
  for (int64_t channels : {1, 40, 64, 130}) {
    const int64_t pixels = 1 + any(5);
    const std::vector<float> values = noise(pixels * channels), factors = noise(channels);
    std::vector<uint8_t> got(pixels * channels + 1, 7), expected = got;
    kernels.quantize_scaled({.from = values.data(),
                             .factors = factors.data(),
                             .pixels = pixels,
                             .channels = channels,
                             .inverse_scale = 200,
                             .zero_point = kZeroPoint,
                             .to = got.data()});
    for (int64_t i = 0; i < pixels * channels; i++) {
      const float scaled = values[i] * factors[i % channels];
      expected[i] = static_cast<uint8_t>(std::clamp(std::nearbyint(scaled * 200) + kZeroPoint, 0.0F, 255.0F));
    }
    expect_equal("quantize_scaled", {pixels, channels}, got, expected, Activation::None);
  }
}

}  // namespace

void test_int8(const Int8Kernels& kernels) {
  test_gemm<uint8_t>(kernels, "gemm_of_bytes");
  test_gemm<float>(kernels, "gemm_of_bytes_to_float");
  test_depthwise<uint8_t>(kernels, "depthwise_of_bytes");
  test_depthwise<float>(kernels, "depthwise_of_bytes_to_float");
  test_max_pool(kernels);
  test_quantize(kernels);
  test_quantize_scaled(kernels);
}

}  // namespace visiontorch::kernels
