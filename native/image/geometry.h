#pragma once

#include "image/image.h"

namespace visiontorch::image {

void flip_horizontal(Image& image);
void flip_vertical(Image& image);

// The image at (left, top) of a width x height canvas of one colour. It must fit.
Image pad(const Image& image, int width, int height, int left, int top, const Color& fill);

}  // namespace visiontorch::image
