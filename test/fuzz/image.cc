// Decodes and resizes a file as the addon does.
#include <ATen/Parallel.h>

#include "fuzz.h"
#include "image/decode.h"
#include "image/transform.h"
#include "runtime/error.h"

namespace {

using namespace visiontorch;

constexpr int64_t kMostPixels = 1 << 22;

fuzz::Digest decode(fuzz::Input file, char pattern) {
  fuzz::PatternAllocator::install().pattern = pattern;
  fuzz::Digest digest;
  try {
    const std::optional<image::Image> decoded = image::decode(file, kMostPixels, true);
    if (!decoded) return digest;
    digest.add(decoded->data(), decoded->size());
    const int width = decoded->width(), height = decoded->height();
    const image::Pixels pixels{decoded->data(), width, height, 3};
    const image::Resize resize{{0, 0, width, height}, 32, 32, {0, 0, 32, 32}, image::Filter::Bilinear};
    const image::Image resized = image::apply(pixels, {resize, image::HorizontalFlip{}});
    digest.add(resized.data(), resized.size());
  } catch (const Error&) {
  }
  return digest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::Deadline deadline;
  if (!(decode({data, size}, 0x5A) == decode({data, size}, '\xA5')))
    fuzz::fail("pixels depend on uninitialized memory");
  return 0;
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  at::set_num_threads(1);
  return 0;
}
