#pragma once

#include "image/image.h"

namespace visiontorch::image {

// Pillow's ImageEnhance: blends a degenerate version (factor 0) and the image (factor 1), or extrapolates (above 1).
// The comments say which degenerate version each function uses.
void enhance_brightness(Image& image, double factor);  // black
void enhance_contrast(Image& image, double factor);    // the image's mean gray
void enhance_color(Image& image, double factor);       // the image in gray
void enhance_sharpness(Image& image, double factor);   // the smoothed image

}  // namespace visiontorch::image
