#pragma once

#include <variant>
#include <vector>

#include "image/image.h"
#include "image/resample.h"

namespace visiontorch::image {

// The operations that lib/image/operation.ts lists, with every parameter drawn already: nothing here is random.
struct Resize {
  Rect from;  // of the source: cropped before resizing, so that nothing outside of it is seen
  int width, height;
  Rect crop;  // of the resized image: the part that is wanted
  Filter filter;
};
struct Pad {
  int width, height, left, top;
  Color fill;
};
struct HorizontalFlip {};
struct VerticalFlip {};

using Operation = std::variant<Resize, Pad, HorizontalFlip, VerticalFlip>;
using Transform = std::vector<Operation>;

// Rows of 1 (gray), 3 (RGB) or 4 (RGBA, alpha is dropped) channels.
struct Pixels {
  const std::uint8_t* data;
  int width, height, channels;
};

// The image after all operations, in their order.
Image apply(const Pixels& pixels, const Transform& transform);

}  // namespace visiontorch::image
