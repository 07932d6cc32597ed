#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "kernels/gemm/gemm.h"

namespace visiontorch::ops {

// How a convolution becomes an indirect matrix product.

// How threads share a product: blocks of rows, which stay in the second-level cache while the panels pass by, times
// groups of panels. All threads should finish at the same time, even if one of them is slower than the others, as a
// virtual processor is if its core also works for somebody else.
struct Partition {
  int64_t blocks = 1, groups = 1;

  // row_floats: how many values of the images a row reads, in floats. tile: rows that the product takes at a time.
  Partition(int64_t rows, int64_t row_floats, const kernels::Panels& panels, int64_t tile) {
    constexpr int64_t kCache = 96 * 1024;  // floats
    constexpr double kTask = 3e5;          // multiply-adds in the time that beginning a task takes
    constexpr double kWait = 0.3;          // the share of a task's time that other threads may wait at the end
    const int64_t threads = at::get_num_threads();
    const int64_t most = std::clamp(kCache / row_floats, tile, 80 * tile), least_blocks = (rows + most - 1) / most;
    double best = 0;
    for (int64_t g = 1; g <= std::min(panels.count, 8 * threads); g++) {
      if (panels.count % g != 0) continue;
      for (int64_t b = least_blocks; b <= least_blocks + 8 * threads && (b == least_blocks || rows / b >= tile); b++) {
        const int64_t tiles = ((rows + b - 1) / b + tile - 1) / tile, rounds = (b * g + threads - 1) / threads;
        const double task = static_cast<double>(tiles * tile * panels.count / g * panels.stride()) + kTask;
        const double time = task * (static_cast<double>(rounds) + kWait);
        if (best == 0 || time < best) {
          best = time;
          blocks = b;
          groups = g;
        }
      }
    }
  }
};

// The inputs of each output: windows of height x width pixels, the first of which begins in row -top and column -left.
struct Windows {
  int64_t height, width, stride, top, left;
};

// Pointers to the windows' taps. With few channels, a row of the window is one run of memory (`merged`): there is a tap
// for each row instead of each pixel.
template <class T>
class WindowRows {
 public:
  struct Images {  // channels-last
    const T* data;
    int64_t height, width, channels;
  };
  struct Grid {  // how many windows an image has
    int64_t height, width;
  };
  // outside: the value of pixels outside of the image. slack: how many values behind a tap may be read, too.
  WindowRows(const Windows& windows, bool merged, const Images& images, const Grid& grid, T outside = T(),
             int64_t slack = 0)
      : windows_(windows),
        images_(images),
        grid_(grid),
        window_(merged ? windows.width : 1),
        slack_(slack),
        outside_(static_cast<size_t>(depth() + slack), outside) {}

  int64_t taps() const { return windows_.height * windows_.width / window_; }
  int64_t depth() const { return window_ * images_.channels; }  // values of a tap

  struct Rows {
    std::vector<const T*> pointers;  // [taps][count]
    std::vector<T> edges;            // copies of windows that lie partly outside of the image
  };
  // Of the windows [begin, begin + count) of all images.
  Rows of(int64_t begin, int64_t count) const {
    const auto& [window_height, window_width, stride, top, left] = windows_;
    const int64_t height = images_.height, width = images_.width, channels = images_.channels, window = window_;
    Rows rows;
    rows.pointers.resize(taps() * count);
    std::vector<T>& edges = rows.edges;
    // There are never more than reserved, since pointers to them must stay valid.
    if (window > 1)
      edges.reserve((count / grid_.width + 2) * 2 * ((left + stride - 1) / stride) * taps() * depth() + slack_);
    // Goes through the pixels in runs within one output row; each tap points to its `window` pixels, or outside.
    for (int64_t m = 0; m < count;) {
      const int64_t column = (begin + m) % grid_.width, row = (begin + m) / grid_.width % grid_.height;
      const int64_t image = (begin + m) / grid_.width / grid_.height, run = std::min(grid_.width - column, count - m);
      for (int64_t tap = 0; tap < taps(); tap++) {
        const int64_t in_y = row * stride - top + tap * window / window_width;
        const int64_t in_x = column * stride - left + tap * window % window_width;
        const T** pointers = rows.pointers.data() + tap * count + m;
        if (in_y < 0 || in_y >= height) {
          std::fill_n(pointers, run, outside_.data());
          continue;
        }
        const T* in_row = images_.data + (image * height + in_y) * width * channels;
        for (int64_t i = 0; i < run; i++) pointers[i] = in_row + (in_x + i * stride) * channels;
        auto is_outside = [&](int64_t i) { return in_x + i * stride < 0 || in_x + i * stride + window > width; };
        auto replace = [&](int64_t i) {
          const int64_t start = in_x + i * stride, first = std::max<int64_t>(start, 0);
          const int64_t last = std::min(start + window, width);
          pointers[i] = outside_.data();
          if (first >= last) return;
          pointers[i] = edges.data() + edges.size();
          edges.insert(edges.end(), (first - start) * channels, outside_[0]);
          edges.insert(edges.end(), in_row + first * channels, in_row + last * channels);
          edges.insert(edges.end(), (start + window - last) * channels, outside_[0]);
        };
        int64_t i = 0;
        for (; i < run && is_outside(i); i++) replace(i);
        for (int64_t last = run - 1; last >= i && is_outside(last); last--) replace(last);
      }
      m += run;
    }
    if (!edges.empty()) edges.insert(edges.end(), slack_, outside_[0]);
    return rows;
  }

 private:
  Windows windows_;
  Images images_;
  Grid grid_;
  int64_t window_, slack_;
  std::vector<T> outside_;
};

}  // namespace visiontorch::ops
