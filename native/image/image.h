#pragma once

#include <c10/core/CPUAllocator.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace visiontorch::image {

struct Rect {
  int left, top, width, height;
};

using Color = std::uint8_t[3];

// RGB rows in memory that something else owns: a decoded image, or a region of one.
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

// RGB rows of 8 bits, without gaps. The memory comes from LibTorch's allocator, which reuses the pages of freed images
// instead of asking the system for new ones.
class Image {
 public:
  Image() = default;
  // The pixels are uninitialized.
  Image(int width, int height)
      : width_(width), height_(height), data_(c10::GetCPUAllocator()->allocate(std::size_t(width) * height * 3)) {}

  int width() const { return width_; }
  int height() const { return height_; }
  std::size_t stride() const { return std::size_t(width_) * 3; }
  std::uint8_t* data() { return static_cast<std::uint8_t*>(data_.get()); }
  const std::uint8_t* data() const { return static_cast<const std::uint8_t*>(data_.get()); }
  std::size_t size() const { return stride() * height_; }
  std::uint8_t* row(int y) { return data() + y * stride(); }
  const std::uint8_t* row(int y) const { return data() + y * stride(); }
  View view() const { return {data(), width_, height_, stride()}; }

 private:
  int width_ = 0, height_ = 0;
  c10::DataPtr data_;
};

inline Image copy(View source) {
  Image result(source.width, source.height);
  for (int y = 0; y < source.height; y++) std::memcpy(result.row(y), source.row(y), result.stride());
  return result;
}

}  // namespace visiontorch::image
