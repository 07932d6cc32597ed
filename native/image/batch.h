#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "image/image.h"

namespace visiontorch::image {

// value = scale * (byte - zero_point)
struct ByteScale {
  float scale;
  std::uint8_t zero_point;
};

// Input images for the network: one tensor [capacity, 3, height, width], channels-last, that is allocated once and
// refilled for each step. Its values are float32, or the bytes that a quantized network's first layer reads. Different
// threads may set different images.
class ImageBatch {
 public:
  using Channels = std::array<double, 3>;
  // pinned: use page-locked memory, from which copies to a GPU are several times as fast. bytes: null for float32.
  ImageBatch(int capacity, int height, int width, const Channels& mean, const Channels& std, bool pinned,
             const std::optional<ByteScale>& bytes = {});

  int capacity() const { return capacity_; }
  int height() const { return height_; }
  int width() const { return width_; }
  const at::Tensor& tensor() const { return tensor_; }
  const std::optional<ByteScale>& bytes() const { return bytes_; }
  // The first `count` images of a batch in float32. This and the functions below throw if the batch is in bytes.
  at::Tensor floats(int64_t count) const;

  // Normalises `image`, which must have the batch's size, into the place `index`.
  void set(int index, const Image& image);

  // Overwrites the first images with these values: N x 3 x height x width, row by row.
  void set_tensor(std::span<const float> values);
  std::vector<float> get_tensor(int count) const;

  // mixup and CutMix of the first `count` images. Each is mixed with the one before it, and the first with the last,
  // like torchvision's batch.roll(1): weight * own + (1 - weight) * neighbour, or the part `box` of the neighbour.
  void mixup(int count, double weight);
  void cutmix(int count, Rect box);

 private:
  // Calls mix(own, neighbour) for the values of each image and of its unmixed neighbour.
  template <class Mix>
  void mix_neighbours(int count, Mix mix);

  float* values(int index) const { return floats(capacity_).data_ptr<float>() + index * image_values(); }
  void check_count(int count) const;
  std::size_t image_values() const { return std::size_t(3) * height_ * width_; }

  int capacity_, height_, width_;
  std::optional<ByteScale> bytes_;
  at::Tensor tensor_;
  template <class T>
  using Table = std::array<std::array<T, 256>, 3>;  // the value of each byte of an image, by channel
  Table<float> normalized_;
  Table<std::uint8_t> quantized_;
};

}  // namespace visiontorch::image
