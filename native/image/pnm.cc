#include "image/pnm.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "image/fault.h"

namespace visiontorch::image {

namespace {

using Bytes = std::span<const std::uint8_t>;

// Pillow's limit, which is more digits than any number needs.
constexpr std::size_t kLongestNumber = 10;

bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class Reader {
 public:
  Reader(Bytes file, std::size_t at) : file_(file), at_(at) {}

  // Reads a number and the one byte of white space after it. A comment, from '#' to the end of its line, may even be
  // inside the number.
  std::int64_t number() {
    std::string digits;
    for (;;) {
      const int c = next();
      if (c == kEnd && digits.empty()) truncated();
      if (c == kEnd || (is_space(std::uint8_t(c)) && !digits.empty())) return std::stoll(digits);
      if (is_space(std::uint8_t(c))) continue;
      if (c < '0' || c > '9' || digits.size() == kLongestNumber) damaged("a number was expected");
      digits += char(c);
    }
  }

  // Reads one digit of a plain bitmap.
  bool bit() {
    for (;;) {
      const int c = next();
      if (c == kEnd) truncated();
      if (is_space(std::uint8_t(c))) continue;
      if (c != '0' && c != '1') damaged("a 0 or 1 was expected");
      return c == '1';
    }
  }

  Bytes rest() const { return file_.subspan(at_); }

 private:
  static constexpr int kEnd = -1;

  int next() {
    while (at_ < file_.size() && file_[at_] == '#') {
      while (at_ < file_.size() && file_[at_] != '\n' && file_[at_] != '\r') at_++;
      if (at_ < file_.size()) at_++;
    }
    return at_ < file_.size() ? file_[at_++] : kEnd;
  }

  Bytes file_;
  std::size_t at_;
};

// Scales samples of 0 to `most` to 8 bits, rounding half to even as Python does.
std::vector<std::uint8_t> scale(std::int64_t most, bool is_gray) {
  const bool keeps_high_byte = is_gray && most > 255;
  const double largest = keeps_high_byte ? 65535 : 255;
  std::vector<std::uint8_t> table(most > 255 ? 65536 : 256);
  for (std::size_t v = 0; v < table.size(); v++) {
    const double scaled = std::min(largest, std::nearbyint(double(v) / double(most) * largest));
    table[v] = std::uint8_t(keeps_high_byte ? int(scaled) >> 8 : int(scaled));
  }
  return table;
}

void put_gray(std::uint8_t* pixel, std::uint8_t value) { std::fill_n(pixel, 3, value); }

void read_plain_bits(Reader reader, Image& image) {
  for (std::size_t i = 0; i < image.size(); i += 3) put_gray(image.data() + i, reader.bit() ? 0 : 255);
}

void read_bits(Bytes data, Image& image) {
  for (int y = 0; y < image.height(); y++) {
    const std::uint8_t* in = data.data() + std::size_t(image.width() + 7) / 8 * std::size_t(y);
    for (int x = 0; x < image.width(); x++)
      put_gray(image.row(y) + 3 * std::size_t(x), in[x / 8] >> (7 - x % 8) & 1 ? 0 : 255);
  }
}

}  // namespace

bool is_pnm(Bytes start) {
  return start.size() >= 3 && start[0] == 'P' && start[1] >= '1' && start[1] <= '6' && is_space(start[2]);
}

Image decode_pnm(Bytes file, std::int64_t most_pixels) {
  const char kind = char(file[1]);
  const bool is_plain = kind <= '3', is_bitmap = kind == '1' || kind == '4', is_gray = kind == '2' || kind == '5';
  Reader reader(file, 3);
  const std::int64_t width = reader.number(), height = reader.number();
  check_size(width, height, most_pixels);
  const std::int64_t most = is_bitmap ? 1 : reader.number();
  if (most < 1 || most > 65535) damaged("a maximum value of " + std::to_string(most));

  // Checked before the pixels are allocated: a plain sample takes at least one byte and, except for bits, a space.
  const std::int64_t samples = width * height * (is_bitmap || is_gray ? 1 : 3);
  const std::int64_t bytes = kind == '4'   ? (width + 7) / 8 * height
                             : kind == '1' ? samples
                             : is_plain    ? 2 * samples - 1
                             : most > 255  ? 2 * samples
                                           : samples;
  const Bytes data = reader.rest();
  if (std::int64_t(data.size()) < bytes) truncated();

  Image image{int(width), int(height)};
  if (is_bitmap) {
    if (is_plain)
      read_plain_bits(reader, image);
    else
      read_bits(data, image);
    return image;
  }
  const std::vector<std::uint8_t> scaled = scale(most, is_gray);
  std::uint8_t* out = image.data();
  for (std::size_t i = 0; i < std::size_t(samples); i++) {
    std::size_t value;
    if (!is_plain) {
      value = most > 255 ? std::size_t(data[2 * i] << 8 | data[2 * i + 1]) : data[i];
    } else {
      value = std::size_t(reader.number());
      if (value > std::size_t(most)) damaged("a value of " + std::to_string(value) + " above " + std::to_string(most));
    }
    if (is_gray)
      put_gray(out + 3 * i, scaled[value]);
    else
      out[i] = scaled[value];
  }
  return image;
}

}  // namespace visiontorch::image
