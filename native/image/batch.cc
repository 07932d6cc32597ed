#include "image/batch.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "runtime/error.h"

namespace visiontorch::image {

namespace {

// For kernels that read behind the last byte.
constexpr std::int64_t kSlack = 64;

at::Tensor empty_bytes(std::int64_t count, std::int64_t height, std::int64_t width) {
  return at::empty({count * 3 * height * width + kSlack}, at::kByte)
      .as_strided({count, 3, height, width}, {3 * height * width, 1, 3 * width, 3});
}

// As the kernels of quantized networks do.
std::uint8_t quantize(float value, const ByteScale& bytes) {
  const float steps = std::min(255.0f - bytes.zero_point, value * (1 / bytes.scale));
  return std::uint8_t(std::max(0.0f, std::nearbyint(steps) + bytes.zero_point));
}

// Writes the values of these pixels.
template <class T>
void look_up(const std::uint8_t* pixels, std::size_t size, const std::array<std::array<T, 256>, 3>& table, T* out) {
  for (std::size_t i = 0; i < size; i += 3)
    for (std::size_t c = 0; c < 3; c++) out[i + c] = table[c][pixels[i + c]];
}

}  // namespace

ImageBatch::ImageBatch(int capacity, int height, int width, const Channels& mean, const Channels& std, bool pinned,
                       const std::optional<ByteScale>& bytes)
    : capacity_(capacity),
      height_(height),
      width_(width),
      bytes_(bytes),
      tensor_(bytes ? empty_bytes(capacity, height, width)
                    : at::empty({capacity, 3, height, width},
                                at::TensorOptions(at::kFloat).pinned_memory(pinned && at::hasCUDA()),
                                at::MemoryFormat::ChannelsLast)) {
  // In float and in this order, so that every value equals the result of torchvision's ToTensor and Normalize.
  for (int c = 0; c < 3; c++)
    for (int v = 0; v < 256; v++) {
      normalized_[c][v] = (float(v) / 255.0f - float(mean[c])) / float(std[c]);
      if (bytes) quantized_[c][v] = quantize(normalized_[c][v], *bytes);
    }
}

at::Tensor ImageBatch::floats(int64_t count) const {
  if (bytes_) throw Error("ERR_INVALID_ARGUMENT", "batch: expected one in float32, got bytes of a quantized network");
  return tensor_.narrow(0, 0, count);
}

void ImageBatch::set(int index, const Image& image) {
  if (index < 0 || index >= capacity_)
    throw Error("ERR_INVALID_ARGUMENT", "index: expected an integer from 0 to " + std::to_string(capacity_ - 1) +
                                            ", got " + std::to_string(index));
  if (image.width() != width_ || image.height() != height_)
    throw Error("ERR_INVALID_ARGUMENT", "transform: expected an image of the batch's size, " + std::to_string(width_) +
                                            "x" + std::to_string(height_) + ", got " + std::to_string(image.width()) +
                                            "x" + std::to_string(image.height()));
  if (bytes_)
    look_up(image.data(), image_values(), quantized_, tensor_.data_ptr<std::uint8_t>() + index * image_values());
  else
    look_up(image.data(), image_values(), normalized_, values(index));
}

void ImageBatch::check_count(int count) const {
  if (count < 1 || count > capacity_)
    throw Error("ERR_INVALID_ARGUMENT",
                "count: expected an integer from 1 to " + std::to_string(capacity_) + ", got " + std::to_string(count));
}

template <class Mix>
void ImageBatch::mix_neighbours(int count, Mix mix) {
  check_count(count);
  // From last to first, so that every neighbour except the first image's is still unmixed.
  const std::vector<float> last(values(count - 1), values(count - 1) + image_values());
  for (int i = count - 1; i > 0; i--) mix(values(i), static_cast<const float*>(values(i - 1)));
  mix(values(0), last.data());
}

void ImageBatch::mixup(int count, double weight) {
  const float own_share = float(weight), neighbour_share = float(1 - weight);
  mix_neighbours(count, [&](float* own, const float* neighbour) {
    for (std::size_t i = 0; i < image_values(); i++) own[i] = neighbour[i] * neighbour_share + own[i] * own_share;
  });
}

void ImageBatch::cutmix(int count, Rect box) {
  if (box.left < 0 || box.top < 0 || box.width < 0 || box.height < 0 || box.width > width_ - box.left ||
      box.height > height_ - box.top)
    throw Error("ERR_INVALID_ARGUMENT", "box: expected a part of the batch's " + std::to_string(width_) + "x" +
                                            std::to_string(height_) + " pixels");
  mix_neighbours(count, [&](float* own, const float* neighbour) {
    for (int y = box.top; y < box.top + box.height; y++) {
      const std::size_t begin = (std::size_t(y) * width_ + box.left) * 3;
      std::copy_n(neighbour + begin, std::size_t(box.width) * 3, own + begin);
    }
  });
}

void ImageBatch::set_tensor(std::span<const float> values) {
  if (values.size() % image_values() != 0 || values.size() > capacity_ * image_values())
    throw Error("ERR_INVALID_ARGUMENT", "values: expected N x 3 x " + std::to_string(height_) + " x " +
                                            std::to_string(width_) + " with N up to " + std::to_string(capacity_) +
                                            ", got " + std::to_string(values.size()));
  // A loop instead of Tensor::copy_, which would start a team of threads for the calling thread.
  const std::size_t plane = std::size_t(height_) * width_;
  float* out = this->values(0);
  for (std::size_t n = 0; n < values.size(); n += 3 * plane)
    for (std::size_t i = 0; i < plane; i++)
      for (std::size_t c = 0; c < 3; c++) *out++ = values[n + c * plane + i];
}

std::vector<float> ImageBatch::get_tensor(int count) const {
  check_count(count);
  const std::size_t plane = std::size_t(height_) * width_;
  std::vector<float> result(count * image_values());
  const float* in = values(0);
  for (std::size_t n = 0; n < result.size(); n += 3 * plane)
    for (std::size_t i = 0; i < plane; i++)
      for (std::size_t c = 0; c < 3; c++) result[n + c * plane + i] = *in++;
  return result;
}

}  // namespace visiontorch::image
