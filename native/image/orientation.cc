#include "image/orientation.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

namespace visiontorch::image {

namespace {

using Bytes = std::span<const std::uint8_t>;

// Reads numbers from EXIF data, which is a TIFF file. Returns nothing beyond its end.
class Tiff {
 public:
  explicit Tiff(Bytes bytes) : bytes_(bytes), little_(bytes.size() > 1 && bytes[0] == 'I' && bytes[1] == 'I') {}

  std::optional<std::uint32_t> number(std::uint64_t at, int size) const {
    if (at + size > bytes_.size()) return std::nullopt;
    std::uint32_t value = 0;
    for (int i = 0; i < size; i++) value = value << 8 | bytes_[at + (little_ ? size - 1 - i : i)];
    return value;
  }

 private:
  Bytes bytes_;
  bool little_;
};

constexpr std::uint32_t kShort = 3, kLong = 4;  // types of the TIFF specification
constexpr std::uint32_t kOrientation = 274;

// Nothing if there is no such tag.
std::optional<int> tiff_orientation(Bytes bytes) {
  const Tiff tiff(bytes);
  const std::uint64_t directory = tiff.number(4, 4).value_or(0);
  const std::uint32_t count = tiff.number(directory, 2).value_or(0);
  for (std::uint32_t i = 0; i < count; i++) {
    const std::uint64_t entry = directory + 2 + 12 * std::uint64_t(i);
    const std::optional<std::uint32_t> tag = tiff.number(entry, 2);
    if (!tag) break;
    if (*tag != kOrientation) continue;
    const auto type = tiff.number(entry + 2, 2);
    if (type != kShort && type != kLong) return 1;
    const int size = type == kShort ? 2 : 4;
    // Of several values, Pillow takes the first, if all are there. Values of more than 4 bytes are stored elsewhere.
    const std::uint64_t bytes = std::uint64_t(tiff.number(entry + 4, 4).value_or(0)) * size;
    const std::uint64_t at = bytes <= 4 ? entry + 8 : tiff.number(entry + 8, 4).value_or(0);
    if (bytes == 0 || !tiff.number(at + bytes - size, size)) return 1;
    const std::uint32_t orientation = *tiff.number(at, size);
    return orientation >= 1 && orientation <= 8 ? int(orientation) : 1;
  }
  return std::nullopt;
}

// As Pillow searches for it: tiff:Orientation="6", or <tiff:Orientation>6.
std::optional<int> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (std::size_t at = xmp.find(kName); at != std::string_view::npos; at = xmp.find(kName, at + 1)) {
    std::string_view value = xmp.substr(at + kName.size());
    if (value.starts_with("=\"")) {
      value.remove_prefix(2);
    } else if (value.starts_with('>')) {
      value.remove_prefix(1);
    } else {
      continue;
    }
    if (!value.empty() && value[0] >= '0' && value[0] <= '9') return value[0] - '0';
  }
  return std::nullopt;
}

}  // namespace

int jpeg_orientation(Bytes jpeg) {
  using namespace std::string_view_literals;
  constexpr std::string_view kExif = "Exif\0\0"sv, kXmp = "http://ns.adobe.com/xap/1.0/\0"sv;
  std::optional<Bytes> exif;
  std::string_view xmp;
  for (std::size_t at = 2; at + 4 <= jpeg.size();) {
    if (jpeg[at] != 0xff) break;
    const std::uint8_t marker = jpeg[at + 1];
    if (marker == 0xff) {  // a fill byte
      at++;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // pixels, or the end
    const std::size_t length = std::size_t(jpeg[at + 2] << 8 | jpeg[at + 3]);
    if (length < 2 || length > jpeg.size() - at - 2) break;
    const Bytes content = jpeg.subspan(at + 4, length - 2);
    const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
    if (marker == 0xe1 && !exif && text.starts_with(kExif)) exif = content.subspan(kExif.size());
    if (marker == 0xe1 && text.starts_with(kXmp)) xmp = text.substr(kXmp.size());
    at += 2 + length;
  }
  std::optional<int> orientation = exif ? tiff_orientation(*exif) : std::nullopt;
  if (!orientation) orientation = xmp_orientation(xmp);
  return orientation.value_or(1);
}

Image orient(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool is_turned = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const std::ptrdiff_t stride = std::ptrdiff_t(image.stride());
  const std::ptrdiff_t column = from_right ? -3 : 3, row = from_bottom ? -stride : stride;
  const std::uint8_t* first =
      image.data() + (from_right ? stride - 3 : 0) + (from_bottom ? stride * (image.height() - 1) : 0);
  // The distance in the source image between neighbouring pixels of the result, horizontally and vertically.
  const std::ptrdiff_t across = is_turned ? row : column, down = is_turned ? column : row;
  Image result(is_turned ? image.height() : image.width(), is_turned ? image.width() : image.height());
  constexpr int kTile = 32;  // a tile's rows in both images stay in the cache
  for (int top = 0; top < result.height(); top += kTile) {
    const int bottom = std::min(top + kTile, result.height());
    for (int left = 0; left < result.width(); left += kTile) {
      const int right = std::min(left + kTile, result.width());
      for (int y = top; y < bottom; y++) {
        const std::uint8_t* from = first + y * down + left * across;
        std::uint8_t* to = result.row(y) + std::size_t(left) * 3;
        for (int x = left; x < right; x++, from += across, to += 3) std::memcpy(to, from, 3);
      }
    }
  }
  return result;
}

}  // namespace visiontorch::image
