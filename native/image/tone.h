#pragma once

#include <array>
#include <cstdint>

#include "image/image.h"

namespace visiontorch::image {

// The new value of each byte.
using Table = std::array<std::uint8_t, 256>;

// Applies the same table to all channels.
void apply_table(Image& image, const Table& table);

// The functions of Pillow's ImageOps.
void invert(Image& image);
void posterize(Image& image, int bits);
void solarize(Image& image, double threshold);
void autocontrast(Image& image);
void equalize(Image& image);

}  // namespace visiontorch::image
