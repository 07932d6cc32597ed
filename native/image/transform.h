#pragma once

#include <variant>
#include <vector>

#include "image/geometry.h"
#include "image/image.h"
#include "image/resample.h"

namespace visiontorch::image {

// The operations that lib/native/operation.ts lists, with every parameter drawn already: nothing here is random.
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
struct Affine {
  Matrix matrix;
  Filter filter;
  Color fill;
};
struct Adjust {
  enum class What {
    Brightness,  // to Sharpness: the amount is a factor, 1 changes nothing
    Contrast,
    Saturation,
    Sharpness,
    Hue,        // share of the circle, -0.5 to 0.5
    Posterize,  // bits to keep, 0 to 8
    Solarize,   // what reaches this value is inverted
    Autocontrast,
    Equalize,
    Invert,
  } what;
  double amount;  // 0 for those that need none
};
struct Erase {
  Rect box;
  Color fill;
};
struct Chain;
// weight x the image + the sum of chain.weight x what each chain of operations makes of it.
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

// Rows of 1 (gray), 3 (RGB) or 4 (RGBA, alpha is dropped) channels.
struct Pixels {
  const std::uint8_t* data;
  int width, height, channels;
};

// The image after all operations, in their order.
Image apply(const Pixels& pixels, const Transform& transform);

}  // namespace visiontorch::image
