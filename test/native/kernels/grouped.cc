// 3 x 3 convolutions of narrow groups.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

void test_group(const Table& table, int64_t stride, int64_t depth, int64_t height, int64_t width) {
  const int64_t columns = table.lanes;
  const int64_t out_height = (height - 1) / stride + 1, out_width = (width - 1) / stride + 1;
  const int64_t pixel_stride = depth + any(5), out_stride = columns + any(5);
  const auto x = noise(height * width * pixel_stride), weights = noise(9 * depth * columns);
  const auto bias = noise(columns);
  std::vector<float> out(out_height * out_width * out_stride);
  std::vector<float> scratch(grouped_scratch(out_height, stride, width));
  Expected expected{std::vector<double>(out.size()), 1e-9, any_activation()};
  for (int64_t half : {0, 1}) {
    const Grouped part{.image = x.data(),
                       .height = height,
                       .width = width,
                       .pixel_stride = pixel_stride,
                       .depth = depth,
                       .stride = stride,
                       .weights = weights.data(),
                       .bias = bias.data(),
                       .first = out_height * half / 2,
                       .last = out_height * (half + 1) / 2,
                       .out_width = out_width,
                       .out = out.data(),
                       .out_stride = out_stride,
                       .activation = expected.activation};
    table.grouped(part, scratch.data());
  }
  for (int64_t row = 0; row < out_height; row++)
    for (int64_t column = 0; column < out_width; column++)
      for (int64_t c = 0; c < columns; c++) {
        double sum = bias[c];
        for (int64_t tap = 0; tap < 9; tap++) {
          const int64_t y = row * stride + tap / 3 - 1, in_x = column * stride + tap % 3 - 1;
          if (y < 0 || y >= height || in_x < 0 || in_x >= width) continue;
          for (int64_t k = 0; k < depth; k++)
            sum += double(x[(y * width + in_x) * pixel_stride + k]) *
                   weights[((tap / 3 * depth + k) * 3 + tap % 3) * columns + c];
        }
        expected.set((row * out_width + column) * out_stride + c, sum);
      }
  compare("grouped", {stride, depth, height, width}, out, expected, kFloat);
}

}  // namespace

void test_grouped(const Table& table) {
  for (int64_t stride : {1, 2})
    for (int64_t depth : {8, 12, 16})
      for (int64_t height : {1, 4, 7})
        for (int64_t width : {1, 3, 4, 7, 10, 14, 20, 28}) test_group(table, stride, depth, height, width);
}

}  // namespace visiontorch::kernels
