#include "image/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "image/color.h"
#include "image/fault.h"

#include <jpeglib.h>  // after cstdio, whose FILE it needs

#include <jerror.h>

#ifndef JCS_EXTENSIONS
#error "Expected libjpeg-turbo, found another libjpeg: install libjpeg62-turbo-dev"
#endif

namespace visiontorch::image {

namespace {

// Encoders write about ten scans. Each scan takes time for every pixel, so a small file with thousands of scans would
// take minutes.
constexpr int kMostScans = 100;
constexpr std::int64_t kMostScannedPixels = 2'000'000'000;

int most_scans(std::int64_t width, std::int64_t height) {
  return int(std::min<std::int64_t>(kMostScans, kMostScannedPixels / (width * height)));
}

// libjpeg's state. On an error, libjpeg jumps to `fault` and leaves the code in `errors.msg_code`.
struct Decoder {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf fault;
  bool has_too_many_scans;
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

[[noreturn]] void fail(j_common_ptr jpeg) { std::longjmp(decoder_of(jpeg).fault, 1); }

// A level below 0 is a warning. Like Pillow, ignore warnings about damaged data, but refuse a file that ends early.
void on_message(j_common_ptr jpeg, int level) {
  if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) fail(jpeg);
}

// libjpeg's own handler would print, and does not link into a shared library if libjpeg.a was built for programs.
void say_nothing(j_common_ptr) {}

void on_progress(j_common_ptr common) {
  Decoder& decoder = decoder_of(common);
  const jpeg_decompress_struct& jpeg = decoder.jpeg;
  if (jpeg.input_scan_number <= most_scans(jpeg.image_width, jpeg.image_height)) return;
  decoder.has_too_many_scans = true;
  fail(common);
}

// Nothing here may have a destructor, because longjmp() skips destructors.
bool read_header(Decoder& decoder, std::span<const std::uint8_t> file) {
  if (setjmp(decoder.fault) != 0) return false;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &decoder.progress;
  jpeg_mem_src(&jpeg, file.data(), file.size());
  jpeg_read_header(&jpeg, TRUE);
  return true;
}

bool is_cmyk(const jpeg_decompress_struct& jpeg) {
  return jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
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

// CMYK is stored inverted: Adobe does that, and Pillow assumes it.
bool read_cmyk_rows(Decoder& decoder, Image& image) {
  if (setjmp(decoder.fault) != 0) return false;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg.out_color_space = JCS_CMYK;
  jpeg_start_decompress(&jpeg);
  const JDIMENSION bytes = jpeg.output_width * 4;
  JSAMPARRAY inks = jpeg.mem->alloc_sarray(j_common_ptr(&jpeg), JPOOL_IMAGE, bytes, 1);
  while (jpeg.output_scanline < jpeg.output_height) {
    std::uint8_t* row = image.row(int(jpeg.output_scanline));
    jpeg_read_scanlines(&jpeg, inks, 1);
    for (JDIMENSION i = 0; i < bytes; i++) inks[0][i] = JSAMPLE(255 - inks[0][i]);
    cmyk_to_rgb(inks[0], jpeg.output_width, row);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

// Counts the scans by their markers, to refuse a file with too many before doing any work.
int count_scans(std::span<const std::uint8_t> file) {
  int count = 0;
  for (std::size_t at = 2; at + 4 <= file.size();) {
    const auto* found = static_cast<const std::uint8_t*>(std::memchr(&file[at], 0xff, file.size() - at));
    if (found == nullptr) break;
    at = std::size_t(found - file.data()) + 1;
    if (at + 3 > file.size()) break;
    const std::uint8_t marker = file[at];
    if (marker == 0xd9) break;  // the end
    const bool is_alone = marker < 0xc0 || marker == 0xff || (marker >= 0xd0 && marker <= 0xd8);
    if (is_alone) continue;
    count += marker == 0xda;
    at += 1 + std::size_t(file[at + 1] << 8 | file[at + 2]);
  }
  return count;
}

[[noreturn]] void refuse_scans(int count) {
  refuse("it is a progressive JPEG with " + std::to_string(count) +
         " scans, more than any program writes for its size. " + "Save it again");
}

[[noreturn]] void explain(const Decoder& decoder) {
  if (decoder.has_too_many_scans) refuse_scans(decoder.jpeg.input_scan_number);
  switch (decoder.errors.msg_code) {
    case JWRN_JPEG_EOF:
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY: truncated();
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED: refuse("it is a JPEG of a rare kind that is not supported. Convert it to PNG");
    case JERR_OUT_OF_MEMORY: throw std::bad_alloc();
    default: damaged("libjpeg's error " + std::to_string(decoder.errors.msg_code));
  }
}

}  // namespace

bool is_jpeg(std::span<const std::uint8_t> start) {
  return start.size() >= 3 && start[0] == 0xff && start[1] == 0xd8 && start[2] == 0xff;
}

Image decode_jpeg(std::span<const std::uint8_t> file, std::int64_t most_pixels) {
  Decoder decoder = {};
  decoder.jpeg.client_data = &decoder;
  decoder.jpeg.err = &decoder.errors;
  decoder.errors.error_exit = fail;
  decoder.errors.emit_message = on_message;
  decoder.errors.output_message = decoder.errors.reset_error_mgr = say_nothing;
  decoder.progress.progress_monitor = on_progress;
  struct Destroy {
    void operator()(jpeg_decompress_struct* jpeg) const { jpeg_destroy_decompress(jpeg); }
  };
  const std::unique_ptr<jpeg_decompress_struct, Destroy> destroy(&decoder.jpeg);

  if (!read_header(decoder, file)) explain(decoder);
  const jpeg_decompress_struct& jpeg = decoder.jpeg;
  check_size(jpeg.image_width, jpeg.image_height, most_pixels);
  if (jpeg.jpeg_color_space == JCS_UNKNOWN)
    refuse("it is a JPEG with " + std::to_string(jpeg.num_components) + " components. Convert it to RGB");
  if (jpeg_has_multiple_scans(&decoder.jpeg)) {
    const int scans = count_scans(file);
    if (scans > most_scans(jpeg.image_width, jpeg.image_height)) refuse_scans(scans);
  }
  Image image(int(jpeg.image_width), int(jpeg.image_height));
  if (!(is_cmyk(jpeg) ? read_cmyk_rows(decoder, image) : read_rows(decoder, image))) explain(decoder);
  return image;
}

}  // namespace visiontorch::image
