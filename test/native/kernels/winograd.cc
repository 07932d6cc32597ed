// Winograd filtering, and the gradients of its weights.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

// The transformation of a filter to the points, from its definition: powers of a point divided by the product of its
// distances to the others; at infinity, the last tap.
double filter_factor(int64_t point, int64_t tap) {
  constexpr int64_t finite = Winograd::kPoints / Winograd::kIn - 1;
  constexpr double points[finite] = {0, 0.75, -0.75, 1.5, -1.5};
  if (point == finite) return tap == 2 ? 1 : 0;
  double factor = std::pow(points[point], tap);
  for (int64_t other = 0; other < finite; other++)
    if (other != point) factor /= points[point] - points[other];
  return factor;
}

// Transforms filters [out][in][3][3] to the kernel's layout: [panel][point].
template <class Factor>
std::vector<Factor> transformed(const std::vector<float>& filters, int64_t in, int64_t out, const Panels& panels) {
  constexpr int64_t points = Winograd::kPoints, side = Winograd::kIn, pair = std::is_same_v<Factor, float> ? 1 : 2;
  std::vector<Factor> weights(panels.count * points * panels.stride());
  for (int64_t o = 0; o < out; o++)
    for (int64_t c = 0; c < in; c++)
      for (int64_t point = 0; point < points; point++) {
        double sum = 0;
        for (int64_t tap = 0; tap < 9; tap++)
          sum += filters[(o * in + c) * 9 + tap] * filter_factor(point / side, tap / 3) *
                 filter_factor(point % side, tap % 3);
        const int64_t matrix = (o / panels.width * points + point) * panels.stride();
        weights[matrix + c / pair * panels.width * pair + o % panels.width * pair + c % pair] =
            rounded<Factor>(static_cast<float>(sum));
      }
  return weights;
}

template <class T, class Factor>
void filter(const Table& table, const WinogradConvolution<T, Factor>& layer, const WinogradPart& part, float* scratch) {
  if constexpr (std::is_same_v<Factor, float>) table.of<T>().winograd(layer, part, scratch);
  if constexpr (!std::is_same_v<Factor, float>) table.of<T>().winograd_in_type(layer, part, scratch);
}

// on_the_way: whether the kernel transforms the filters.
template <class T, class Factor>
void test_convolution(const Table& table, const char* name, bool on_the_way) {
  constexpr double rounding = std::is_same_v<T, float> ? kWinograd : kBFloat16;
  constexpr double tolerance = std::is_same_v<Factor, float> ? rounding : kWinogradBFloat16;
  for (int64_t height : {4, 5, 14})
    for (int64_t in : {16, 48, 144})
      for (int64_t out : {16, 24, 64, 80}) {
        const int64_t images = 2, width = height + 3, tiles = images * ((height + 3) / 4) * ((width + 3) / 4);
        const int64_t stride = out + any(2) * 3;
        const Panels panels = table.layout(in, out, 1);
        const auto x = random_values<T>(images * height * width * in);
        const auto residual = random_values<T>(images * height * width * stride);
        const auto filters = noise(out * in * 9), bias = noise(panels.padded_columns());
        const auto weights = transformed<Factor>(filters, in, out, panels);
        std::vector<T> y(residual.size());
        Expected expected{std::vector<double>(y.size()), 1e-9, any_activation()};
        const bool has_residual = any(2) == 1;
        const WinogradConvolution<T, Factor> layer{
            .height = height,
            .width = width,
            .in_channels = in,
            .out_channels = out,
            .panels = panels,
            .weights = on_the_way ? nullptr : weights.data(),
            .filters = on_the_way ? filters.data() : nullptr,
            .bias = bias.data(),
            .images = x.data(),
            .out = y.data(),
            .stride = stride,
            .epilogue = {expected.activation, has_residual ? residual.data() : nullptr}};
        std::vector<float> scratch(winograd_scratch(in, panels));
        for (int64_t first = 0; first < tiles; first += 7)
          for (int64_t half : {0, 1}) {
            const bool gathered = half == 1;  // by the first half
            const WinogradPart part{first, std::min(first + 7, tiles), panels.count * half / 2,
                                    panels.count * (half + 1) / 2, gathered};
            filter(table, layer, part, scratch.data());
          }
        for (int64_t pixel = 0; pixel < images * height * width; pixel++)
          for (int64_t o = 0; o < out; o++) {
            double sum = bias[o] + (has_residual ? value_of(residual[pixel * stride + o]) : 0);
            for (int64_t tap = 0; tap < 9; tap++) {
              const int64_t row = pixel / width % height + tap / 3 - 1, column = pixel % width + tap % 3 - 1;
              if (row < 0 || row >= height || column < 0 || column >= width) continue;
              const T* from = x.data() + ((pixel / width / height * height + row) * width + column) * in;
              for (int64_t c = 0; c < in; c++) sum += double(value_of(from[c])) * filters[(o * in + c) * 9 + tap];
            }
            expected.set(pixel * stride + o, sum);
          }
        compare(name, {height, in, out, on_the_way}, y, expected, tolerance);
      }
}

// The product of the transformed inputs and the transformed gradients of the outputs is the gradient of the transformed
// filters.
template <class T>
void test_winograd_gradient(const Table& table, const char* name) {
  constexpr int64_t points = Winograd::kPoints, in = 40, out = 24;
  for (int64_t height : {1, 4, 7, 14}) {
    const int64_t images = 3, width = height + 2, tiles = images * ((height + 3) / 4) * ((width + 3) / 4);
    const auto x = random_values<T>(images * height * width * in);
    const auto gradient = random_values<T>(images * height * width * out);
    const int64_t inputs_stride = tiles * in + kPad, gradients_stride = tiles * out + kPad;
    std::vector<T> inputs(points * inputs_stride), gradients(points * gradients_stride);
    for (int64_t half : {0, 1}) {
      const int64_t first = tiles * half / 2, last = tiles * (half + 1) / 2;
      const WinogradTiles<T> of_x{height, width, in, x.data(), first, last, inputs.data(), inputs_stride};
      const WinogradTiles<T> of_gradient{height,           width,           out, gradient.data(), first, last,
                                         gradients.data(), gradients_stride};
      table.of<T>().winograd_inputs(of_x);
      table.of<T>().winograd_gradients(of_gradient);
    }
    std::vector<float> result(out * in * 9);
    Expected expected{std::vector<double>(result.size())};
    for (int64_t o = 0; o < out; o++)
      for (int64_t c = 0; c < in; c++) {
        double taps[9] = {};
        for (int64_t point = 0; point < points; point++) {
          double sum = 0;
          for (int64_t tile = 0; tile < tiles; tile++)
            sum += double(value_of(inputs[point * inputs_stride + tile * in + c])) *
                   value_of(gradients[point * gradients_stride + tile * out + o]);
          for (int64_t tap = 0; tap < 9; tap++)
            taps[tap] +=
                sum * filter_factor(point / Winograd::kIn, tap / 3) * filter_factor(point % Winograd::kIn, tap % 3);
        }
        for (int64_t tap = 0; tap < 9; tap++) {
          double sum = 0;
          for (int64_t pixel = 0; pixel < images * height * width; pixel++) {
            const int64_t row = pixel / width % height + tap / 3 - 1, column = pixel % width + tap % 3 - 1;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            const int64_t from = (pixel / width / height * height + row) * width + column;
            sum += double(value_of(x[from * in + c])) * value_of(gradient[pixel * out + o]);
          }
          result[(o * in + c) * 9 + tap] = static_cast<float>(taps[tap]);
          expected.set((o * in + c) * 9 + tap, sum);
        }
      }
    compare(name, {height}, result, expected, std::is_same_v<T, float> ? kWinograd : kWinogradBFloat16);
  }
}

}  // namespace

void test_winograd(const Table& table) {
  for (bool on_the_way : {false, true}) test_convolution<float, float>(table, "winograd", on_the_way);
  test_winograd_gradient<float>(table, "winograd_gradient");
  if (!table.has_bfloat16()) return;
  for (bool on_the_way : {false, true}) test_convolution<BFloat16, float>(table, "winograd_bfloat16", on_the_way);
  test_convolution<BFloat16, BFloat16>(table, "winograd_all_bfloat16", false);
  test_winograd_gradient<BFloat16>(table, "winograd_gradient_bfloat16");
}

}  // namespace visiontorch::kernels
