// Max pooling, means over an image's pixels, and multiplication of its channels.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

template <class T>
void test_max_pool(const Table& table, const char* name) {
  for (int64_t channels : {3, 8, 16, 20, 64})
    for (int64_t kernel_size : {2, 3})
      for (int64_t stride : {1, 2})
        for (int64_t padding : {0, 1}) {
          const int64_t height = 5 + any(4), width = 4 + any(6);
          const auto image = random_values<T>(height * width * channels);
          const int64_t out_height = (height + 2 * padding - kernel_size) / stride + 1;
          const int64_t out_width = (width + 2 * padding - kernel_size) / stride + 1;
          std::vector<T> out(out_height * out_width * channels);
          for (int64_t row = 0; row < out_height; row++)
            table.of<T>().max_pool_row({.image = image.data(),
                                        .height = height,
                                        .width = width,
                                        .channels = channels,
                                        .kernel_size = kernel_size,
                                        .stride = stride,
                                        .padding = padding,
                                        .row = row,
                                        .out_width = out_width,
                                        .out = out.data() + row * out_width * channels});
          Expected expected{std::vector<double>(out.size())};
          for (int64_t row = 0; row < out_height; row++)
            for (int64_t column = 0; column < out_width; column++)
              for (int64_t c = 0; c < channels; c++) {
                double largest = -INFINITY;
                for (int64_t y = row * stride - padding; y < row * stride - padding + kernel_size; y++)
                  for (int64_t x = column * stride - padding; x < column * stride - padding + kernel_size; x++)
                    if (y >= 0 && y < height && x >= 0 && x < width)
                      largest = std::max<double>(largest, value_of(image[(y * width + x) * channels + c]));
                expected.set((row * out_width + column) * channels + c, largest);
              }
          compare(name, {height, width, channels, kernel_size, stride, padding}, out, expected, 0);
        }
}

template <class T>
void test_pixel_mean(const Table& table, const char* name) {
  for (int64_t channels : {3, 8, 16, 20, 64})
    for (int64_t pixels : {1, 7, 49}) {
      const int64_t stride = channels + any(5);
      const auto x = random_values<T>(pixels * stride);
      std::vector<T> out(channels);
      table.of<T>().pixel_mean(
          {.x = x.data(), .pixels = pixels, .stride = stride, .channels = channels, .out = out.data()});
      Expected expected{std::vector<double>(out.size())};
      for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < pixels; i++) sum += value_of(x[i * stride + c]);
        expected.set(c, sum / static_cast<double>(pixels));
      }
      compare(name, {pixels, channels}, out, expected, std::is_same_v<T, float> ? kFloat : kBFloat16);
    }
}

template <class T>
void test_scale_pixels(const Table& table, const char* name) {
  for (int64_t channels : {3, 8, 16, 20, 64})
    for (int64_t pixels : {1, 7, 49}) {
      const int64_t stride = channels + any(5);
      auto x = random_values<T>(pixels * stride);
      const auto factors = random_values<float>(channels);
      Expected expected{std::vector<double>(x.size())};
      for (int64_t i = 0; i < pixels * stride; i++) {
        const int64_t c = i % stride;  // values between the pixels stay as they are
        expected.set(i, value_of(x[i]) * (c < channels ? factors[c] : 1));
      }
      table.of<T>().scale_pixels(
          {.x = x.data(), .pixels = pixels, .stride = stride, .channels = channels, .factors = factors.data()});
      compare(name, {pixels, stride, channels}, x, expected, std::is_same_v<T, float> ? kFloat : kBFloat16);
    }
}

}  // namespace

void test_pooling(const Table& table) {
  test_max_pool<float>(table, "max_pool");
  test_pixel_mean<float>(table, "pixel_mean");
  test_scale_pixels<float>(table, "scale_pixels");
  if (!table.has_bfloat16()) return;
  test_max_pool<BFloat16>(table, "max_pool_bfloat16");
  test_pixel_mean<BFloat16>(table, "pixel_mean_bfloat16");
  test_scale_pixels<BFloat16>(table, "scale_pixels_bfloat16");
}

}  // namespace visiontorch::kernels
