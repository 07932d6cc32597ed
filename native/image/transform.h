#pragma once

#include <variant>
#include <vector>

#include "image/geometry.h"
#include "image/image.h"
#include "image/resample.h"

namespace visiontorch::image {

// The operations of lib/native/operation.ts. All random parameters have been drawn already: nothing here is random.
struct Resize {
  Rect from;  // of the source, cropped before resizing so that nothing outside of it has an influence
  int width, height;
  Rect crop;  // of the resized image: the part to compute
  Filter filter;
};
struct Pad {
  int width, height, left, top;
  Color fill;
};
struct HorizontalFlip {};
struct VerticalFlip {};
struct Affine {
  Matrix matrix;
  Filter filter;
  Color fill;
};
struct Adjust {
  enum class What {
    Brightness,  // up to Sharpness, the amount is a factor; 1 changes nothing
    Contrast,
    Saturation,
    Sharpness,
    Hue,        // fraction of the colour circle, -0.5 to 0.5
    Posterize,  // bits to keep, 0 to 8
    Solarize,   // inverts values from this one on
    Autocontrast,
    Equalize,
    Invert,
  } what;
  double amount;  // 0 for adjustments without an amount
};
struct Erase {
  Rect box;
  Color fill;
};
struct Chain;
// weight x the image + the sum of chain.weight x the image after the operations of each chain.
struct Mix {
  float weight;
  std::vector<Chain> chains;
};

using Operation = std::variant<Resize, Pad, HorizontalFlip, VerticalFlip, Affine, Adjust, Erase, Mix>;
using Transform = std::vector<Operation>;

struct Chain {
  float weight;
  Transform operations;
};

// Rows of pixels with 1 (gray), 3 (RGB) or 4 channels (RGBA, whose alpha is dropped).
struct Pixels {
  const std::uint8_t* data;
  int width, height, channels;
};

// Applies all operations in order.
Image apply(const Pixels& pixels, const Transform& transform);

}  // namespace visiontorch::image
