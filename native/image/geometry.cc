#include "image/geometry.h"

#include <algorithm>
#include <cstring>

namespace visiontorch::image {

void flip_horizontal(Image& image) {
  for (int y = 0; y < image.height(); y++) {
    std::uint8_t* left = image.row(y);
    std::uint8_t* right = left + image.stride() - 3;
    for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

void flip_vertical(Image& image) {
  for (int y = 0; y < image.height() / 2; y++)
    std::swap_ranges(image.row(y), image.row(y) + image.stride(), image.row(image.height() - 1 - y));
}

Image pad(const Image& image, int width, int height, int left, int top, const Color& fill) {
  Image result(width, height);
  for (std::size_t i = 0; i < result.size(); i += 3) std::copy_n(fill, 3, result.data() + i);
  for (int y = 0; y < image.height(); y++)
    std::memcpy(result.row(top + y) + std::size_t(left) * 3, image.row(y), image.stride());
  return result;
}

}  // namespace visiontorch::image
