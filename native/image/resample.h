#pragma once

#include "image/image.h"

namespace visiontorch::image {

enum class Filter { Nearest, Bilinear, Bicubic };

// `source` resized to width x height as Pillow does it (antialiased, fixed point, 8 bits between the two passes), of
// which only `crop` is computed. Every byte equals Pillow's.
Image resize(View source, int width, int height, Rect crop, Filter filter);

}  // namespace visiontorch::image
