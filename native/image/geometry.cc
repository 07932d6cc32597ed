#include "image/geometry.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace visiontorch::image {

namespace {

Image filled(int width, int height, const Color& fill) {
  Image image(width, height);
  for (std::size_t i = 0; i < image.size(); i += 3) std::copy_n(fill, 3, image.data() + i);
  return image;
}

bool inside(double position, int size) { return position >= 0 && position < size; }

// The cases and the arithmetic below are those of Pillow's src/libImaging/Geometry.c, because rounding decides which of
// two neighbouring pixels a position on their border belongs to.

// No rotation and no shear: positions are accumulated along each side.
void scale_nearest(const Image& image, const Matrix& m, Image& out) {
  double from_y = m[5] + m[4] * 0.5;
  for (int y = 0; y < out.height(); y++, from_y += m[4]) {
    if (!inside(from_y, image.height())) continue;
    const std::uint8_t* row = image.row(int(from_y));
    double from_x = m[2] + m[0] * 0.5;
    for (int x = 0; x < out.width(); x++, from_x += m[0])
      if (inside(from_x, image.width())) std::copy_n(row + int(from_x) * 3, 3, out.row(y) + x * 3);
  }
}

// Fixed-point positions with 16 fractional bits.
void affine_nearest(const Image& image, const Matrix& m, Image& out) {
  const auto fix = [](double v) { return std::int64_t(std::floor(v * 65536 + 0.5)); };
  const std::int64_t across[2] = {fix(m[0]), fix(m[3])}, down[2] = {fix(m[1]), fix(m[4])};
  std::int64_t start_x = fix(m[2] + m[0] * 0.5 + m[1] * 0.5), start_y = fix(m[5] + m[3] * 0.5 + m[4] * 0.5);
  for (int y = 0; y < out.height(); y++, start_x += down[0], start_y += down[1]) {
    std::int64_t at_x = start_x, at_y = start_y;
    for (int x = 0; x < out.width(); x++, at_x += across[0], at_y += across[1]) {
      const std::int64_t from_x = at_x >> 16, from_y = at_y >> 16;
      if (from_x >= 0 && from_x < image.width() && from_y >= 0 && from_y < image.height())
        std::copy_n(image.row(int(from_y)) + from_x * 3, 3, out.row(y) + x * 3);
    }
  }
}

void affine_bilinear(const Image& image, const Matrix m, Image& out) {
  const int last_x = image.width() - 1, last_y = image.height() - 1;
  for (int y = 0; y < out.height(); y++) {
    std::uint8_t* row = out.row(y);
    for (int x = 0; x < out.width(); x++, row += 3) {
      const double from_x = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2];
      const double from_y = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5];
      if (!inside(from_x, image.width()) || !inside(from_y, image.height())) continue;
      const int left = int(std::floor(from_x - 0.5)), top = int(std::floor(from_y - 0.5));
      const double dx = from_x - 0.5 - left, dy = from_y - 0.5 - top;
      const int x0 = std::max(left, 0) * 3, x1 = std::min(left + 1, last_x) * 3;
      const std::uint8_t* upper = image.row(std::max(top, 0));
      const std::uint8_t* lower = image.row(std::min(top + 1, last_y));
      for (int c = 0; c < 3; c++) {
        const double a = upper[x0 + c] + (upper[x1 + c] - upper[x0 + c]) * dx;
        const double b = lower[x0 + c] + (lower[x1 + c] - lower[x0 + c]) * dx;
        row[c] = std::uint8_t(a + (b - a) * dy);
      }
    }
  }
}

}  // namespace

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
  Image result = filled(width, height, fill);
  for (int y = 0; y < image.height(); y++)
    std::memcpy(result.row(top + y) + std::size_t(left) * 3, image.row(y), image.stride());
  return result;
}

void erase(Image& image, Rect box, const Color& fill) {
  for (int y = box.top; y < box.top + box.height; y++)
    for (int x = box.left; x < box.left + box.width; x++) std::copy_n(fill, 3, image.row(y) + x * 3);
}

Image affine(const Image& image, const Matrix& matrix, Filter filter, const Color& fill) {
  Image result = filled(image.width(), image.height(), fill);
  if (filter == Filter::Bilinear)
    affine_bilinear(image, matrix, result);
  else if (matrix[1] == 0 && matrix[3] == 0)
    scale_nearest(image, matrix, result);
  else
    affine_nearest(image, matrix, result);
  return result;
}

}  // namespace visiontorch::image
