#pragma once

#include <array>
#include <cstdint>

#include "image/image.h"

namespace visiontorch::image {

// What becomes of each byte.
using Table = std::array<std::uint8_t, 256>;

// The same table for all channels.
void apply_table(Image& image, const Table& table);

// Pillow's ImageOps.
void invert(Image& image);
void posterize(Image& image, int bits);
void solarize(Image& image, double threshold);
void autocontrast(Image& image);
void equalize(Image& image);

}  // namespace visiontorch::image
