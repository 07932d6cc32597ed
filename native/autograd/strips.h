#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/parallel.h"

namespace visiontorch::autograd {

// The rows (or pixels) of a batch, cut into strips that the threads share. The strips, and so sums over each of them,
// do not depend on the number of threads.
struct Strips {
  int64_t images, rows, of_image;

  // rows: of an image. A strip has at least `least` of them, or all.
  Strips(int64_t images, int64_t rows, int64_t least) : images(images), rows(rows) {
    constexpr int64_t kStrips = 32;  // at least, if there are enough rows
    of_image = std::clamp<int64_t>((kStrips + images - 1) / images, 1, std::max<int64_t>(1, rows / least));
  }

  int64_t count() const { return images * of_image; }

  // work(strip, image, first row, last row)
  template <class Work>
  void for_each(const Work& work) const {
    parallel_tasks(count(), [&](int64_t strip, int) {
      const int64_t part = strip % of_image;
      work(strip, strip / of_image, rows * part / of_image, rows * (part + 1) / of_image);
    });
  }
};

}  // namespace visiontorch::autograd
