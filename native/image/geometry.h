#pragma once

#include <array>

#include "image/image.h"
#include "image/resample.h"

namespace visiontorch::image {

void flip_horizontal(Image& image);
void flip_vertical(Image& image);

// Puts the image at (left, top) of a width x height canvas of one colour. It must fit.
Image pad(const Image& image, int width, int height, int left, int top, const Color& fill);

// Overwrites `box`, which must be inside the image.
void erase(Image& image, Rect box, const Color& fill);

// Each output pixel (x, y) comes from (a x + b y + c, d x + e y + f) of the image, measured from pixel corners, as in
// Pillow's Image.transform. Pixels from outside of the image get the colour `fill`. The filter is nearest or bilinear.
using Matrix = std::array<double, 6>;
Image affine(const Image& image, const Matrix& matrix, Filter filter, const Color& fill);

}  // namespace visiontorch::image
