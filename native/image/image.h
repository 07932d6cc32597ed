#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace visiontorch::image {

struct Rect {
  int left, top, width, height;
};

using Color = std::uint8_t[3];

// RGB rows that belong to someone else: a decoded image, or a region of one.
struct View {
  const std::uint8_t* data;
  int width, height;
  std::size_t stride;  // bytes from one row to the next

  const std::uint8_t* row(int y) const { return data + y * stride; }
  bool contains(Rect r) const {
    return r.left >= 0 && r.top >= 0 && r.width > 0 && r.height > 0 && r.width <= width - r.left &&
           r.height <= height - r.top;
  }
  View region(Rect r) const { return {row(r.top) + std::size_t(r.left) * 3, r.width, r.height, stride}; }
};

// RGB rows of 8 bits, without gaps.
class Image {
 public:
  Image() = default;
  Image(int width, int height) : width_(width), height_(height), data_(std::size_t(width) * height * 3) {}

  int width() const { return width_; }
  int height() const { return height_; }
  std::size_t stride() const { return std::size_t(width_) * 3; }
  std::uint8_t* data() { return data_.data(); }
  const std::uint8_t* data() const { return data_.data(); }
  std::size_t size() const { return data_.size(); }
  std::uint8_t* row(int y) { return data_.data() + y * stride(); }
  const std::uint8_t* row(int y) const { return data_.data() + y * stride(); }
  View view() const { return {data_.data(), width_, height_, stride()}; }

 private:
  int width_ = 0, height_ = 0;
  std::vector<std::uint8_t> data_;
};

}  // namespace visiontorch::image
