// kernel-tests SET: compares the kernels of one instruction set (avx2, avx512, avx512_bf16, neon, neon_bf16, and for
// bytes int8_avx2, int8_avx_vnni, int8_avx512_vnni, int8_dotprod, int8_i8mm) with plain loops, in double precision or
// in integers, over sizes that do and do not fill vectors, tiles and panels. Prints a line for each kernel: its name,
// how many cases were compared, how many failed, and the first of these. Ends with 0 if all hold, with 1 if some do
// not, and with 77 if this processor does not have the instruction set. Linked with the kernels alone, so that an
// emulator can run it.
#include <cstdio>
#include <random>

#include "compare.h"
#include "runtime/cpu_features.h"

namespace visiontorch::kernels {

namespace {

std::mt19937 generator(1);

void test(const Table& table) {
  test_products(table);
  test_depthwise(table);
  test_grouped(table);
  test_winograd(table);
  test_batch_norm(table);
  test_elementwise(table);
  test_pooling(table);
  test_preactivation(table);
  test_tokens(table);
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
  const visiontorch::CpuFeatures& features = visiontorch::cpu_features();
  struct Set {
    const char* name;
    bool available;
    const Table* table;
    const Int8Kernels* int8 = nullptr;
  };
#if defined(__aarch64__)
  const Set sets[] = {{"neon", features.neon, &kNeon},
                      {"neon_bf16", features.neon_bf16, &kNeonBf16},
                      {"int8_dotprod", features.neon_dotprod, nullptr, &kInt8Dotprod},
                      {"int8_i8mm", features.neon_i8mm, nullptr, &kInt8I8mm}};
#else
  const Set sets[] = {{"avx2", features.avx2, &kAvx2},
                      {"avx512", features.avx512, &kAvx512},
                      {"avx512_bf16", features.avx512_bf16, &kAvx512Bf16},
                      {"int8_avx2", features.avx2, nullptr, &kInt8Avx2},
                      {"int8_avx_vnni", features.avx_vnni, nullptr, &kInt8AvxVnni},
                      {"int8_avx512_vnni", features.avx512_vnni, nullptr, &kInt8Avx512Vnni}};
#endif
  for (const Set& set : sets) {
    if (count != 2 || std::string(arguments[1]) != set.name) continue;
    if (!set.available) {
      std::printf("this processor does not have %s\n", set.name);
      return 77;
    }
    set.table ? test(*set.table) : test_int8(*set.int8);
  }
  bool holds = results.size() >= (std::string(arguments[1]).starts_with("int8") ? 8 : 15);
  for (const auto& [kernel, result] : results) {
    std::printf("%s %d %d %s\n", kernel.c_str(), result.cases, result.failures, result.first.c_str());
    holds = holds && result.cases > 0 && result.failures == 0;
  }
  return holds ? 0 : 1;
}
