#include "image/jpeg.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csetjmp>
#include <cstdio>
#include <memory>

#include <jpeglib.h>  // after cstdio, whose FILE it needs

#ifndef JCS_EXTENSIONS
#error "Expected libjpeg-turbo, found another libjpeg: install libjpeg62-turbo-dev"
#endif

namespace visiontorch::image {

namespace {

// Node reads no larger file either. One of holes alone would else fill the memory.
constexpr off_t kMostBytes = off_t(1) << 31;

// More scans than any encoder writes; a small file of thousands would take minutes.
constexpr int kMostScans = 100;

// libjpeg's state. Where libjpeg finds a fault, it jumps to `fault`.
struct Decoder {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf fault;
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

[[noreturn]] void fail(j_common_ptr jpeg) { std::longjmp(decoder_of(jpeg).fault, 1); }

// Below 0 is a warning: data that are damaged or missing.
void on_message(j_common_ptr jpeg, int level) {
  if (level < 0) fail(jpeg);
}

// libjpeg's own would print, and does not link into a shared library where its archive was made for programs.
void say_nothing(j_common_ptr) {}

void on_progress(j_common_ptr jpeg) {
  if (decoder_of(jpeg).jpeg.input_scan_number > kMostScans) fail(jpeg);
}

// Nothing here has a destructor, as longjmp() runs none.
bool read_header(Decoder& decoder, std::span<const std::uint8_t> file) {
  if (setjmp(decoder.fault) != 0) return false;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &decoder.progress;
  jpeg_mem_src(&jpeg, file.data(), file.size());
  jpeg_read_header(&jpeg, TRUE);
  return jpeg.jpeg_color_space == JCS_GRAYSCALE || jpeg.jpeg_color_space == JCS_YCbCr ||
         jpeg.jpeg_color_space == JCS_RGB;
}

bool read_rows(Decoder& decoder, Image& image) {
  if (setjmp(decoder.fault) != 0) return false;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg.out_color_space = JCS_RGB;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW rows[2] = {image.row(int(jpeg.output_scanline)), nullptr};
    const bool last = jpeg.output_scanline + 1 == jpeg.output_height;
    if (!last) rows[1] = image.row(int(jpeg.output_scanline) + 1);
    jpeg_read_scanlines(&jpeg, rows, last ? 1 : 2);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

bool is_jpeg(std::span<const std::uint8_t> file) { return file.size() > 2 && file[0] == 0xff && file[1] == 0xd8; }

// As many bytes as there are from the descriptor's position on, at most those of `buffer`.
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
  // Without O_NONBLOCK a named pipe would be waited for, forever.
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

std::optional<Image> decode_jpeg_file(const std::string& path, std::int64_t most_pixels) {
  const Descriptor file(path);
  struct stat status;
  if (file.get() < 0 || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > kMostBytes)
    return std::nullopt;
  std::uint8_t start[3];
  if (read_bytes(file.get(), start) < sizeof start || !is_jpeg(start)) return std::nullopt;
  if (lseek(file.get(), 0, SEEK_SET) != 0) return std::nullopt;
  const auto size = std::size_t(status.st_size);
  const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[size]);
  return decode_jpeg({bytes.get(), read_bytes(file.get(), {bytes.get(), size})}, most_pixels);
}

std::optional<Image> decode_jpeg(std::span<const std::uint8_t> file, std::int64_t most_pixels) {
  if (!is_jpeg(file)) return std::nullopt;
  Decoder decoder = {};
  decoder.jpeg.client_data = &decoder;
  decoder.jpeg.err = &decoder.errors;
  decoder.errors.error_exit = fail;
  decoder.errors.emit_message = on_message;
  decoder.errors.output_message = decoder.errors.reset_error_mgr = say_nothing;
  decoder.progress.progress_monitor = on_progress;

  std::optional<Image> result;
  if (read_header(decoder, file) && std::int64_t(decoder.jpeg.image_width) * decoder.jpeg.image_height <= most_pixels) {
    result.emplace(int(decoder.jpeg.image_width), int(decoder.jpeg.image_height));
    if (!read_rows(decoder, *result)) result.reset();
  }
  jpeg_destroy_decompress(&decoder.jpeg);
  return result;
}

}  // namespace visiontorch::image
