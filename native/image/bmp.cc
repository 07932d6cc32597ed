#include "image/bmp.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "image/fault.h"

namespace visiontorch::image {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kFileHeader = 14;

std::uint32_t number(Bytes file, std::size_t at, std::size_t bytes) {
  if (at > file.size() || bytes > file.size() - at) truncated();
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; i++) value |= std::uint32_t(file[at + i]) << (8 * i);
  return value;
}

enum Compression : std::uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

struct Header {
  std::int64_t width, height;
  bool is_top_down;
  std::uint32_t bits, compression, colors;
  std::size_t palette, palette_entry;  // where the palette starts, and the bytes per colour
  std::size_t pixels;                  // where they start
  std::uint32_t red, green, blue, alpha;
};

Header read_header(Bytes file) {
  Header h = {};
  const std::uint32_t size = number(file, kFileHeader, 4);
  constexpr std::uint32_t kSizes[] = {12, 40, 52, 56, 64, 108, 124};
  if (std::ranges::find(kSizes, size) == std::end(kSizes))
    refuse("it is a BMP with an unknown header (of " + std::to_string(size) + " bytes)");
  h.pixels = number(file, 10, 4);
  h.palette = kFileHeader + size;
  if (h.palette > file.size()) truncated();
  if (size == 12) {
    h.width = number(file, 18, 2);
    h.height = number(file, 20, 2);
    h.bits = number(file, 24, 2);
    h.palette_entry = 3;
  } else {
    h.width = number(file, 18, 4);
    h.height = number(file, 22, 4);
    h.is_top_down = file[25] == 0xff;
    if (h.is_top_down) h.height = (std::int64_t(1) << 32) - h.height;
    h.bits = number(file, 28, 2);
    h.compression = number(file, 30, 4);
    h.colors = number(file, 46, 4);
    h.palette_entry = 4;
  }
  if (h.compression == kBitFields) {
    // The masks follow a header of 40 bytes.
    h.red = number(file, 54, 4);
    h.green = number(file, 58, 4);
    h.blue = number(file, 62, 4);
    if (size >= 56) h.alpha = number(file, 66, 4);
    if (size == 40) h.palette += 12;
  }
  const bool has_palette = h.bits <= 8;
  if (has_palette && h.colors == 0) h.colors = 1u << h.bits;
  // Some programs forget the palette when they write where the pixels start.
  if (has_palette && h.pixels == kFileHeader + size) h.pixels += h.palette_entry * h.colors;
  if (h.pixels == 0) h.pixels = h.palette + (has_palette ? h.palette_entry * h.colors : 0);
  return h;
}

// Returns the colour of each index. An index without a colour is black, or its own shade of gray if the palette is the
// start of a gray ramp.
std::array<Color, 256> read_palette(Bytes file, const Header& h) {
  if (h.colors == 0 || h.colors > 65536) damaged("a palette of " + std::to_string(h.colors) + " colours");
  std::array<Color, 256> palette = {};
  bool is_ramp = true;
  for (std::size_t i = 0; i < palette.size() && i < h.colors; i++) {
    const std::size_t at = h.palette + i * h.palette_entry;
    const bool is_there = at + 3 <= file.size();
    for (std::size_t c = 0; c < 3; c++) {
      if (is_there) palette[i][c] = file[at + 2 - c];
      is_ramp = is_ramp && is_there && palette[i][c] == i;
    }
  }
  for (std::size_t i = h.colors; is_ramp && i < palette.size(); i++) std::fill_n(palette[i], 3, std::uint8_t(i));
  // Pillow takes a single black colour for the start of black and white.
  if (is_ramp && h.bits == 1 && h.colors == 1) std::fill_n(palette[1], 3, std::uint8_t(255));
  return palette;
}

// Returns which bytes of a 32-bit pixel hold red, green and blue. These are the layouts that Pillow knows.
using Order = std::array<std::uint8_t, 3>;

std::optional<Order> order_of(const Header& h) {
  if (h.compression == kRaw) return Order{2, 1, 0};
  struct Layout {
    std::uint32_t red, green, blue, alpha;
    Order order;
  };
  constexpr Layout kLayouts[] = {
      {0xff0000, 0xff00, 0xff, 0, {2, 1, 0}},          {0xff000000, 0xff0000, 0xff00, 0, {3, 2, 1}},
      {0xff000000, 0xff00, 0xff, 0, {3, 1, 0}},        {0xff000000, 0xff0000, 0xff00, 0xff, {3, 2, 1}},
      {0xff, 0xff00, 0xff0000, 0xff000000, {0, 1, 2}}, {0xff0000, 0xff00, 0xff, 0xff000000, {2, 1, 0}},
      {0xff000000, 0xff00, 0xff, 0xff0000, {3, 1, 0}}, {0, 0, 0, 0, {2, 1, 0}},
  };
  for (const Layout& layout : kLayouts)
    if (h.red == layout.red && h.green == layout.green && h.blue == layout.blue && h.alpha == layout.alpha)
      return layout.order;
  return std::nullopt;
}

[[noreturn]] void unsupported(const Header& h) {
  refuse("it is a BMP of an unsupported kind (" + std::to_string(h.bits) + " bits per pixel, compression " +
         std::to_string(h.compression) + "). Convert it to PNG");
}

Image read_raw(Bytes file, const Header& h) {
  const std::size_t line = std::size_t(h.width * h.bits + 7) / 8;
  const std::size_t stride = std::size_t(h.width * h.bits + 31) / 32 * 4;
  // The last row may lack its padding.
  if (h.pixels > file.size() || stride * std::size_t(h.height - 1) + line > file.size() - h.pixels) truncated();

  std::array<Color, 256> palette;
  if (h.bits <= 8) palette = read_palette(file, h);
  const bool has_six_bits_of_green = h.compression == kBitFields && h.green == 0x7e0;
  const Order order = order_of(h).value_or(Order{2, 1, 0});
  Image image(int(h.width), int(h.height));
  for (int y = 0; y < image.height(); y++) {
    const std::uint8_t* in = file.data() + h.pixels + stride * std::size_t(y);
    std::uint8_t* out = image.row(h.is_top_down ? y : image.height() - 1 - y);
    for (int x = 0; x < image.width(); x++, out += 3) {
      if (h.bits <= 8) {
        const unsigned bit = unsigned(x) * h.bits, shift = 8 - h.bits - bit % 8;
        std::copy_n(palette[in[bit / 8] >> shift & ((1 << h.bits) - 1)], 3, out);
      } else if (h.bits == 16) {
        const unsigned pixel = in[2 * x] | in[2 * x + 1] << 8;
        const unsigned shift = has_six_bits_of_green ? 11 : 10, most = has_six_bits_of_green ? 63 : 31;
        out[0] = std::uint8_t((pixel >> shift & 31) * 255 / 31);
        out[1] = std::uint8_t((pixel >> 5 & most) * 255 / most);
        out[2] = std::uint8_t((pixel & 31) * 255 / 31);
      } else {
        const std::uint8_t* pixel = in + std::size_t(x) * (h.bits / 8);
        for (std::size_t c = 0; c < 3; c++) out[c] = pixel[order[c]];
      }
    }
  }
  return image;
}

// Decodes runs into indices, row by row in the file's order. It follows Pillow even for odd files: an end of line fills
// the row only if the row has a pixel already, and the alignment after an escape counts from the start of the file.
std::vector<std::uint8_t> read_runs(Bytes file, const Header& h) {
  const std::size_t width = std::size_t(h.width), total = width * std::size_t(h.height);
  const bool is_rle4 = h.compression == kRle4;
  std::vector<std::uint8_t> indices;
  std::size_t at = h.pixels, x = 0;
  const auto skip = [&](std::size_t count) { indices.resize(std::min(total, indices.size() + count)); };
  while (indices.size() < total && at < file.size() && file.size() - at >= 2) {
    const std::size_t count = file[at], value = file[at + 1];
    at += 2;
    if (count > 0) {
      const std::size_t fits = x < width ? std::min({count, width - x, total - indices.size()}) : 0;
      for (std::size_t i = 0; i < fits; i++)
        indices.push_back(std::uint8_t(!is_rle4 ? value : i % 2 == 0 ? value >> 4 : value & 15));
      x += fits;
    } else if (value == 0) {  // the end of a line
      if (indices.size() % width != 0) skip(width - indices.size() % width);
      x = 0;
    } else if (value == 1) {  // the end of the image
      break;
    } else if (value == 2) {  // a move to the right and up
      if (file.size() - at < 2) break;
      skip(file[at] + file[at + 1] * width);
      at += 2;
      x = indices.size() % width;
    } else {  // uncompressed pixels
      const std::size_t pixels = std::min(total - indices.size(), value);
      const std::size_t bytes = is_rle4 ? (pixels + 1) / 2 : pixels;
      if (file.size() - at < bytes) break;
      for (std::size_t i = 0; i < pixels; i++)
        indices.push_back(!is_rle4 ? file[at + i] : i % 2 == 0 ? file[at + i / 2] >> 4 : file[at + i / 2] & 15);
      at += bytes;
      at += at % 2;
      x += value;
    }
  }
  if (indices.size() < total) truncated();
  return indices;
}

Image read_rle(Bytes file, const Header& h) {
  const std::array<Color, 256> palette = read_palette(file, h);
  const std::vector<std::uint8_t> indices = read_runs(file, h);
  Image image(int(h.width), int(h.height));
  for (int y = 0; y < image.height(); y++) {
    const std::uint8_t* in = indices.data() + std::size_t(h.width) * std::size_t(y);
    std::uint8_t* out = image.row(h.is_top_down ? y : image.height() - 1 - y);
    for (int x = 0; x < image.width(); x++) std::copy_n(palette[in[x]], 3, out + 3 * x);
  }
  return image;
}

}  // namespace

bool is_bmp(Bytes start) { return start.size() >= 2 && start[0] == 'B' && start[1] == 'M'; }

Image decode_bmp(Bytes file, std::int64_t most_pixels) {
  const Header h = read_header(file);
  check_size(h.width, h.height, most_pixels);
  const bool has_palette = h.bits == 1 || h.bits == 4 || h.bits == 8;
  if ((h.compression == kRle8 || h.compression == kRle4) && has_palette) return read_rle(file, h);
  const bool is_raw = h.compression == kRaw && (has_palette || h.bits == 16 || h.bits == 24 || h.bits == 32);
  const bool is_565 = h.red == 0xf800 && h.green == 0x7e0 && h.blue == 0x1f;
  const bool is_555 = h.red == 0x7c00 && h.green == 0x3e0 && h.blue == 0x1f;
  const bool is_888 = h.red == 0xff0000 && h.green == 0xff00 && h.blue == 0xff;
  const bool has_fields =
      h.compression == kBitFields &&
      ((h.bits == 16 && (is_565 || is_555)) || (h.bits == 24 && is_888) || (h.bits == 32 && order_of(h).has_value()));
  if (!is_raw && !has_fields) unsupported(h);
  return read_raw(file, h);
}

}  // namespace visiontorch::image
