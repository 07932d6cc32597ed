#pragma once

#include "image/image.h"

namespace visiontorch::image {

// Pillow's ImageEnhance: the image drawn towards a degenerate version of itself (factor 0), left alone (1), or pushed
// away from it (above 1).
void enhance_brightness(Image& image, double factor);  // from black
void enhance_contrast(Image& image, double factor);    // from its mean gray
void enhance_color(Image& image, double factor);       // from gray
void enhance_sharpness(Image& image, double factor);   // from a smoothed one

}  // namespace visiontorch::image
