#pragma once

#include "image/image.h"

namespace visiontorch::image {

enum class Filter { Nearest, Bilinear, Bicubic };

// Resizes `source` to width x height as Pillow does (antialiased, fixed point, 8 bits between the two passes), but
// computes only `crop` of the result. Every byte equals Pillow's, except for images that Pillow 13 resizes vertically
// first (https://github.com/python-pillow/Pillow/pull/9549); earlier versions never do that, and neither does this.
Image resize(View source, int width, int height, Rect crop, Filter filter);

}  // namespace visiontorch::image
