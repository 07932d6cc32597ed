#include "image/resample.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "image/resample_rows.h"
#include "image/weights.h"

namespace visiontorch::image {

namespace {

// Without a filter, Pillow resizes by an affine map whose source position is accumulated, not multiplied.
std::vector<int> nearest_positions(int in, int out, int begin, int count) {
  const double step = double(in) / out;
  std::vector<int> positions;
  double position = step * 0.5;
  for (int i = 0; i < begin + count; i++, position += step)
    if (i >= begin) positions.push_back(std::min(int(position), in - 1));
  return positions;
}

Image resize_nearest(View source, int width, int height, Rect crop) {
  const auto xs = nearest_positions(source.width, width, crop.left, crop.width);
  const auto ys = nearest_positions(source.height, height, crop.top, crop.height);
  Image result(crop.width, crop.height);
  for (int y = 0; y < crop.height; y++) {
    std::uint8_t* out = result.row(y);
    for (int x : xs) out = std::copy_n(source.row(ys[y]) + x * 3, 3, out);
  }
  return result;
}

}  // namespace

Image resize(View source, int width, int height, Rect crop, Filter filter) {
  if (filter == Filter::Nearest) return resize_nearest(source, width, height, crop);

  const ResampleRows& kernels = resample_rows();
  const Weights columns(source.width, width, crop.left, crop.width, filter);
  const Weights rows(source.height, height, crop.top, crop.height, filter);
  const bool same_height = height == source.height;
  // Compute only the rows that the second pass will read. As in Pillow, skip a pass that would change nothing.
  const int top = rows.begin();
  source = source.region({0, top, source.width, rows.end() - top});
  Image narrowed;
  if (width == source.width) {
    source = source.region({crop.left, 0, crop.width, source.height});
  } else {
    narrowed = Image(crop.width, source.height);
    kernels.horizontal(source, narrowed, columns);
    source = narrowed.view();
  }
  if (same_height) return copy(source.region({0, crop.top - top, crop.width, crop.height}));

  Image result(crop.width, crop.height);
  for (int y = 0; y < crop.height; y++)
    kernels.vertical(source.row(rows.first(y) - top), source.stride, result.row(y), crop.width * 3, rows, y);
  return result;
}

}  // namespace visiontorch::image
