// A norm and an activation before a layer, and the average of several rows.
#include "compare.h"

namespace visiontorch::kernels {

namespace {

template <class T>
void test_preactivate(const Table& table, const char* name) {
  for (int64_t channels : {3, 8, 16, 20, 64})
    for (int64_t count : {1, 4, 7})
      for (int64_t taps : {1, 4}) {
        const int64_t stride = channels + any(5);
        const auto x = random_values<T>(taps * count * channels);
        const auto scale = noise(channels);
        auto offset = noise(channels);
        for (float& value : offset) value *= 8;  // for all of ReLU6
        std::vector<const T*> rows;
        for (int64_t i = taps * count; i-- > 0;) rows.push_back(x.data() + i * channels);
        std::vector<T> out(count * stride);
        Expected expected{std::vector<double>(out.size())};
        const Activation activation = any_activation();
        table.of<T>().preactivate({.rows = rows.data(),
                                   .count = count,
                                   .taps = taps,
                                   .channels = channels,
                                   .scale = scale.data(),
                                   .offset = offset.data(),
                                   .activation = activation,
                                   .out = out.data(),
                                   .stride = stride});
        for (int64_t m = 0; m < count; m++)
          for (int64_t c = 0; c < channels; c++) {
            double sum = 0;
            for (int64_t tap = 0; tap < taps; tap++) {
              const double before = double(value_of(rows[tap * count + m][c])) * scale[c] + offset[c];
              expected.largest = std::max(expected.largest, std::fabs(before));
              sum += activated(before, activation);
            }
            expected.set(m * stride + c, sum / static_cast<double>(taps));
          }
        compare(name, {channels, count, taps, static_cast<int64_t>(activation)}, out, expected,
                std::is_same_v<T, float> ? kFloat : kBFloat16);
      }
}

}  // namespace

void test_preactivation(const Table& table) {
  test_preactivate<float>(table, "preactivate");
  if (table.has_bfloat16()) test_preactivate<BFloat16>(table, "preactivate_bfloat16");
}

}  // namespace visiontorch::kernels
