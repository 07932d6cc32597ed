#include "image/batch.h"

#include <ATen/Functions.h>

#include <string>

#include "runtime/error.h"

namespace visiontorch::image {

ImageBatch::ImageBatch(int capacity, int height, int width, const Channels& mean, const Channels& std)
    : capacity_(capacity),
      height_(height),
      width_(width),
      tensor_(at::empty({capacity, 3, height, width}, at::kFloat, at::MemoryFormat::ChannelsLast)) {
  // In float and in this order, so that every value equals that of torchvision's ToTensor and Normalize.
  for (int c = 0; c < 3; c++)
    for (int v = 0; v < 256; v++) normalized_[c][v] = (float(v) / 255.0f - float(mean[c])) / float(std[c]);
}

void ImageBatch::set(int index, const Image& image) {
  if (index < 0 || index >= capacity_)
    throw Error("ERR_INVALID_ARGUMENT", "index: expected an integer from 0 to " + std::to_string(capacity_ - 1) +
                                            ", got " + std::to_string(index));
  if (image.width() != width_ || image.height() != height_)
    throw Error("ERR_INVALID_ARGUMENT", "transform: expected an image of " + std::to_string(width_) + "x" +
                                            std::to_string(height_) + ", as the batch has, got " +
                                            std::to_string(image.width()) + "x" + std::to_string(image.height()));
  float* out = tensor_.data_ptr<float>() + index * image_values();
  const std::uint8_t* in = image.data();
  for (std::size_t i = 0; i < image_values(); i += 3) {
    out[i] = normalized_[0][in[i]];
    out[i + 1] = normalized_[1][in[i + 1]];
    out[i + 2] = normalized_[2][in[i + 2]];
  }
}

void ImageBatch::set_tensor(std::span<const float> values) {
  if (values.size() % image_values() != 0 || values.size() > capacity_ * image_values())
    throw Error("ERR_INVALID_ARGUMENT", "values: expected N x 3 x " + std::to_string(height_) + " x " +
                                            std::to_string(width_) + " with N up to " + std::to_string(capacity_) +
                                            ", got " + std::to_string(values.size()));
  // By hand and not by Tensor::copy_, which would start threads on the caller's thread.
  const std::size_t plane = std::size_t(height_) * width_;
  float* out = tensor_.data_ptr<float>();
  for (std::size_t n = 0; n < values.size(); n += 3 * plane)
    for (std::size_t i = 0; i < plane; i++)
      for (std::size_t c = 0; c < 3; c++) *out++ = values[n + c * plane + i];
}

}  // namespace visiontorch::image
