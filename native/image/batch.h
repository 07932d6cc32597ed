#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <span>

#include "image/image.h"

namespace visiontorch::image {

// Images on their way into the network: one float32 tensor [capacity, 3, height, width], channels last, that is
// allocated once and filled anew for each step. Different images may be set from different threads.
class ImageBatch {
 public:
  using Channels = std::array<double, 3>;
  ImageBatch(int capacity, int height, int width, const Channels& mean, const Channels& std);

  int capacity() const { return capacity_; }
  int height() const { return height_; }
  int width() const { return width_; }
  const at::Tensor& tensor() const { return tensor_; }

  // Normalises `image`, which has the batch's size, into its place.
  void set(int index, const Image& image);

  // Fills the first images with these values: N x 3 x height x width, row by row.
  void set_tensor(std::span<const float> values);

 private:
  std::size_t image_values() const { return std::size_t(3) * height_ * width_; }

  int capacity_, height_, width_;
  at::Tensor tensor_;
  std::array<std::array<float, 256>, 3> normalized_;  // what each byte becomes, by channel
};

}  // namespace visiontorch::image
