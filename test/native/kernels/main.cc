// kernels SET: the kernels of one instruction set (avx2, avx512, avx512_bf16) beside plain loops in double precision,
// over sizes that do and do not fill vectors, tiles and panels. A line for each kernel: its name, how many cases were
// compared, how many failed, and the first of these. Linked with the kernels alone, so that an emulator can run it.
#include <cstdio>
#include <random>

#include "compare.h"

namespace visiontorch::kernels {

namespace {

std::mt19937 generator(1);

void test(const Table& table) {
  test_products(table);
  test_depthwise(table);
  test_winograd(table);
  test_batch_norm(table);
}

}  // namespace

std::map<std::string, Results> results;

int64_t any(int64_t count) { return static_cast<int64_t>(generator() % static_cast<uint32_t>(count)); }

std::vector<float> noise(int64_t count) {
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(generator);
  return values;
}

}  // namespace visiontorch::kernels

int main(int count, char** arguments) {
  using namespace visiontorch::kernels;
  const std::string set = count == 2 ? arguments[1] : "";
  if (set == "avx2") test(kAvx2);
  if (set == "avx512") test(kAvx512);
  if (set == "avx512_bf16") test(kAvx512Bf16);
  for (const auto& [kernel, result] : results)
    std::printf("%s %d %d %s\n", kernel.c_str(), result.cases, result.failures, result.first.c_str());
  return results.empty() ? 2 : 0;
}
