#pragma once

#include "image/image.h"

namespace visiontorch::image {

enum class Filter { Nearest, Bilinear, Bicubic };

// `source` resized to width x height as Pillow does it (antialiased, fixed point, 8 bits between the two passes), of
// which only `crop` is computed. Every byte equals Pillow's, with the exception of what Pillow 13 resizes vertically
// first (https://github.com/python-pillow/Pillow/pull/9549): earlier versions never do, nor does this.
Image resize(View source, int width, int height, Rect crop, Filter filter);

}  // namespace visiontorch::image
