#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <span>
#include <vector>

#include "image/image.h"

namespace visiontorch::image {

// Images on their way into the network: one float32 tensor [capacity, 3, height, width], channels last, that is
// allocated once and filled anew for each step. Different images may be set from different threads.
class ImageBatch {
 public:
  using Channels = std::array<double, 3>;
  // pinned: in memory that a GPU reads by itself, which is several times as fast.
  ImageBatch(int capacity, int height, int width, const Channels& mean, const Channels& std, bool pinned);

  int capacity() const { return capacity_; }
  int height() const { return height_; }
  int width() const { return width_; }
  const at::Tensor& tensor() const { return tensor_; }

  // Normalises `image`, which has the batch's size, into its place.
  void set(int index, const Image& image);

  // Fills the first images with these values: N x 3 x height x width, row by row.
  void set_tensor(std::span<const float> values);
  std::vector<float> get_tensor(int count) const;

  // mixup and CutMix of the first `count` images, each with the one before it and the first with the last, as
  // torchvision's batch.roll(1) pairs them: weight * own + (1 - weight) * neighbour, or the neighbour's part `box`.
  void mixup(int count, double weight);
  void cutmix(int count, Rect box);

 private:
  // Calls mix(own, neighbour) for the values of each image, with the neighbour as it was before.
  template <class Mix>
  void mix_neighbours(int count, Mix mix);

  float* values(int index) const { return tensor_.data_ptr<float>() + index * image_values(); }
  void check_count(int count) const;
  std::size_t image_values() const { return std::size_t(3) * height_ * width_; }

  int capacity_, height_, width_;
  at::Tensor tensor_;
  std::array<std::array<float, 256>, 3> normalized_;  // what each byte becomes, by channel
};

}  // namespace visiontorch::image
