// Depthwise convolutions, for inference and training.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

template <class T>
void test_inference(const Table& table, const char* name, int64_t kernel_size, int64_t stride) {
  for (int64_t channels : {2, 8, 16, 24, 32, 36, 40, 72, 144})
    for (int64_t width : {1, 3, 4, 7, 14, 17})
      for (int64_t height : {1, 3}) {
        const int64_t in_width = (width - 1) * stride + kernel_size, in_height = (height - 1) * stride + kernel_size;
        const int64_t weight_stride = channels + 5, out_stride = channels + any(2) * 3,
                      taps = kernel_size * kernel_size;
        const auto x = random_values<T>(in_height * in_width * channels);
        const auto weights = noise(taps * weight_stride);
        auto bias = noise(channels);
        for (float& value : bias) value *= 8;  // for all of ReLU6
        std::vector<const T*> rows;
        for (int64_t y = 0; y < in_height; y++) rows.push_back(x.data() + y * in_width * channels);
        std::vector<T> out(height * width * out_stride);
        const int64_t sum_stride = channels + any(2) * 3;
        std::vector<float> sums(height * sum_stride);
        Expected expected{std::vector<double>(out.size()), 1e-9, any_activation()};
        Expected expected_sums{std::vector<double>(sums.size())};
        const Depthwise<T> layer{.rows = rows.data(),
                                 .out_rows = height,
                                 .out_width = width,
                                 .channels = channels,
                                 .kernel_size = kernel_size,
                                 .stride = stride,
                                 .weights = weights.data(),
                                 .weight_stride = weight_stride,
                                 .bias = bias.data(),
                                 .out = out.data(),
                                 .out_stride = out_stride,
                                 .activation = expected.activation,
                                 .sums = any(2) == 1 ? sums.data() : nullptr,
                                 .sum_stride = sum_stride};
        table.of<T>().depthwise(layer);
        for (int64_t y = 0; y < height; y++)
          for (int64_t i = 0; i < width; i++)
            for (int64_t c = 0; c < channels; c++) {
              double sum = bias[c];
              for (int64_t k = 0; k < taps; k++)
                sum += double(value_of(
                           rows[y * stride + k / kernel_size][(i * stride + k % kernel_size) * channels + c])) *
                       weights[k * weight_stride + c];
              expected.set((y * width + i) * out_stride + c, sum);
              const int64_t in_row = y * sum_stride + c;
              if (layer.sums)
                expected_sums.set(in_row, expected_sums.values[in_row] + activated(sum, expected.activation));
            }
        const std::initializer_list<int64_t> sizes = {channels, kernel_size, stride, width, height};
        compare(name, sizes, out, expected, std::is_same_v<T, float> ? kFloat : kBFloat16);
        expected_sums.largest = std::max(expected_sums.largest, expected.largest);
        compare(std::string(name) + "_sums", sizes, sums, expected_sums, kFloat);
      }
}

template <class T>
void test_inference(const Table& table, const char* name) {
  for (int64_t kernel_size : {3, 5, 7})
    for (int64_t stride : {1, 2})
      if (supports_depthwise(kernel_size, stride)) test_inference<T>(table, name, kernel_size, stride);
}

// The rows in two parts.
template <class T>
void test_training(const Table& table, const std::string& name, int64_t channels, int64_t kernel_size, int64_t stride,
                   int64_t height, int64_t width) {
  constexpr double tolerance = std::is_same_v<T, float> ? kFloat : kBFloat16;
  const int64_t out_height = (height - 1) / stride + 1, out_width = (width - 1) / stride + 1;
  const int64_t size = height * width * channels, out_size = out_height * out_width * channels;
  const int64_t weight_stride = (channels + table.lanes - 1) / table.lanes * table.lanes;
  const int64_t taps_count = kernel_size * kernel_size, padding = kernel_size / 2;
  const auto weights = noise(taps_count * weight_stride), bias = noise(weight_stride);
  const auto x = random_values<T>(size), gradient = random_values<T>(out_size);
  const std::vector<T> zeros(channels);
  std::vector<T> nowhere(channels), y(out_size), dx(size);
  std::vector<float> weight_gradients(noise(taps_count * weight_stride));
  Expected outputs{std::vector<double>(out_size)}, inputs{std::vector<double>(size)};
  Expected taps{{weight_gradients.begin(), weight_gradients.end()}};
  DepthwiseTraining<T> work{.height = height,
                            .width = width,
                            .channels = channels,
                            .kernel_size = kernel_size,
                            .stride = stride,
                            .weights = weights.data(),
                            .weight_stride = weight_stride,
                            .bias = bias.data(),
                            .x = x.data(),
                            .first = 0,
                            .last = 0,
                            .zeros = zeros.data(),
                            .nowhere = nowhere.data(),
                            .y = y.data(),
                            .gradient = gradient.data(),
                            .dx = dx.data(),
                            .weight_gradients = weight_gradients.data()};
  for (int64_t half : {0, 1}) {
    work.first = out_height * half / 2;
    work.last = out_height * (half + 1) / 2;
    table.of<T>().depthwise_training(work);
    table.of<T>().depthwise_gradients(work);
  }
  for (int64_t c = 0; c < channels; c++)
    for (int64_t out = 0; out < out_height * out_width; out++) {
      double sum = bias[c];
      const double g = value_of(gradient[out * channels + c]);
      for (int64_t tap = 0; tap < taps_count; tap++) {
        const int64_t row = out / out_width * stride + tap / kernel_size - padding;
        const int64_t column = out % out_width * stride + tap % kernel_size - padding;
        if (row < 0 || row >= height || column < 0 || column >= width) continue;
        const int64_t in = (row * width + column) * channels + c;
        const double weight = weights[tap * weight_stride + c], value = value_of(x[in]);
        sum += weight * value;
        inputs.set(in, inputs.values[in] + weight * g);
        taps.set(tap * weight_stride + c, taps.values[tap * weight_stride + c] + value * g);
      }
      outputs.set(out * channels + c, sum);
    }
  for (int64_t tap = 0; tap < taps_count; tap++)  // values after the channels must not matter
    for (int64_t c = channels; c < weight_stride; c++)
      weight_gradients[tap * weight_stride + c] = static_cast<float>(taps.values[tap * weight_stride + c]);
  const std::initializer_list<int64_t> sizes = {channels, kernel_size, stride, height, width};
  compare(name, sizes, y, outputs, tolerance);
  compare(name + "_gradient", sizes, dx, inputs, tolerance);
  compare(name + "_weight_gradient", sizes, weight_gradients, taps, kFloat);
}

template <class T>
void test_training(const Table& table, const std::string& name) {
  for (int64_t channels : {2, 8, 16, 24, 36, 72, 144})
    for (int64_t kernel_size : {3, 5, 7})
      for (int64_t stride : {1, 2})
        for (int64_t height : {1, 2, 5})
          for (int64_t width : {1, 2, 3, 4, 7, 14, 17})
            if (supports_depthwise(kernel_size, stride))
              test_training<T>(table, name, channels, kernel_size, stride, height, width);
}

}  // namespace

void test_depthwise(const Table& table) {
  test_inference<float>(table, "depthwise");
  test_training<float>(table, "trained_depthwise");
  if (!table.has_bfloat16()) return;
  test_inference<BFloat16>(table, "depthwise_bfloat16");
  test_training<BFloat16>(table, "trained_depthwise_bfloat16");
}

}  // namespace visiontorch::kernels
