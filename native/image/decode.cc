#include "image/decode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "image/bmp.h"
#include "image/jpeg.h"
#include "image/orientation.h"
#include "image/pnm.h"

namespace visiontorch::image {

namespace {

// Node.js does not read larger files either. A sparse one would fill the memory.
constexpr off_t kMostBytes = off_t(1) << 31;

using Decode = Image (*)(std::span<const std::uint8_t>, std::int64_t);

Decode decoder_for(std::span<const std::uint8_t> start) {
  if (is_jpeg(start)) return decode_jpeg;
  if (is_bmp(start)) return decode_bmp;
  return is_pnm(start) ? decode_pnm : nullptr;
}

// Reads as many bytes as there are from the descriptor's position on, up to the size of `buffer`.
std::size_t read_bytes(int descriptor, std::span<std::uint8_t> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t count = read(descriptor, buffer.data() + done, buffer.size() - done);
    if (count <= 0) break;
    done += std::size_t(count);
  }
  return done;
}

class Descriptor {
 public:
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  explicit Descriptor(const std::string& path) : value_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  int get() const { return value_; }

 private:
  int value_;
};

}  // namespace

std::optional<Image> decode(std::span<const std::uint8_t> file, std::int64_t most_pixels, bool auto_orient) {
  const Decode decoder = decoder_for(file);
  if (decoder == nullptr) return std::nullopt;
  Image image = decoder(file, most_pixels);
  return auto_orient && is_jpeg(file) ? orient(std::move(image), jpeg_orientation(file)) : std::move(image);
}

std::optional<Image> decode_file(const std::string& path, std::int64_t most_pixels, bool auto_orient) {
  const Descriptor file(path);
  struct stat status;
  if (file.get() < 0 || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > kMostBytes)
    return std::nullopt;
  std::uint8_t start[3];
  if (read_bytes(file.get(), start) < sizeof start || decoder_for(start) == nullptr) return std::nullopt;
  if (lseek(file.get(), 0, SEEK_SET) != 0) return std::nullopt;
  const auto size = std::size_t(status.st_size);
  const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[size]);
  return decode({bytes.get(), read_bytes(file.get(), {bytes.get(), size})}, most_pixels, auto_orient);
}

}  // namespace visiontorch::image
