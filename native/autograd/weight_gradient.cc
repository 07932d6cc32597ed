#include "autograd/weight_gradient.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/dispatch.h"
#include "ops/packing.h"
#include "runtime/parallel.h"

namespace visiontorch::autograd {

using kernels::kGemmTNDepth;
using kernels::Winograd;
using ops::data;
using ops::mutable_data;
using ops::table;

namespace {

// The rows that one call of the kernel reads.
template <class T>
struct Rows {
  std::vector<const T*> a, b;  // [count], [taps][count]
  int64_t count = 0;
};

// Computes sum.out = sum over t in [begin, end) of a[t]^T b[tap][t] for each tap, added to the existing values unless
// sum.first. find(first, rows) finds the rows from t = first on.
template <class T, class Find>
void accumulate(kernels::GemmTN<T> sum, int64_t begin, int64_t end, const Find& find, std::vector<float>& scratch) {
  scratch.resize(kernels::gemm_tn_scratch(sum.rows, sum.columns));
  Rows<T> rows, next;
  auto find_next = [&](int64_t first) {
    next.count = std::clamp<int64_t>(end - first, 0, kGemmTNDepth);
    next.a.resize(next.count);
    next.b.resize(sum.taps * next.count);
    find(first, next);
  };
  find_next(begin);
  for (int64_t first = begin; first < end; first += kGemmTNDepth) {
    std::swap(rows, next);
    find_next(first + kGemmTNDepth);
    sum.a = rows.a.data();
    sum.b = rows.b.data();
    sum.count = rows.count;
    sum.next_a = next.a.data();
    sum.next_b = next.b.data() + sum.taps / 2 * next.count;  // the middle tap
    sum.next_count = next.count;
    table().of<T>().gemm_tn(sum, scratch.data());
    sum.first = false;
  }
}

// How threads share a sum over pixels. The sum is cut into parts, each of which reads its values only once. If there
// are few pixels, the threads also share the channels of the operand that has more of them, although each task then
// reads the other operand in full. The parts, and so the result, do not depend on the number of threads.
struct Partition {
  int64_t pixels, shared, parts, groups = 1;

  Partition(int64_t pixels, int64_t shared) : pixels(pixels), shared(shared) {
    constexpr int64_t kParts = 8, kPixels = 2048, kFewPixels = 256, kChannels = 64;  // minimums per task
    const int64_t threads = at::get_num_threads(), most = std::max<int64_t>(1, shared / kChannels);
    parts = std::clamp<int64_t>(pixels / (most < kParts / 2 ? kFewPixels : kPixels), 1, kParts);
    groups = std::clamp<int64_t>((4 * threads + parts - 1) / parts, 1, most);
    while (groups < most && parts * groups % threads != 0) groups++;
  }

  // Returns the first pixel of a part, or the end of the last one. Each part is smaller than the one before, so that at
  // the end one thread waits only briefly for another.
  int64_t first_pixel(int64_t part) const { return pixels * part * (2 * parts + 1 - part) / (parts * (parts + 1)); }

  // The channels [first, last) of a group.
  std::pair<int64_t, int64_t> channels(int64_t group) const {
    auto begin = [&](int64_t g) { return g == groups ? shared : shared * g / groups / table().lanes * table().lanes; };
    return {begin(group), begin(group + 1)};
  }
};

// Adds up sums [parts, ...] over the parts.
void add_up(const at::Tensor& sums, at::Tensor& total) {
  const float* from = sums.const_data_ptr<float>();
  float* to = total.mutable_data_ptr<float>();
  parallel_ranges(total.numel(), at::internal::GRAIN_SIZE, [&](int64_t begin, int64_t end) {
    table().add_parts({from, sums.size(0), total.numel(), begin, end, to});
  });
}

}  // namespace

template <class T>
void weight_gradient_of(const at::Tensor& input, const at::Tensor& gradient, const nn::Conv2d& conv,
                        at::Tensor& result) {
  const int64_t in = input.size(1), height = input.size(2), width = input.size(3), k = conv.kernel_size.height,
                padding = conv.padding.height, taps = k * k;
  const int64_t out = gradient.size(1), out_height = gradient.size(2), out_width = gradient.size(3);
  const int64_t pixels = gradient.size(0) * out_height * out_width;
  const bool shares_out = out > in * taps;
  const Partition partition(pixels, shares_out ? out : in);
  const int64_t parts = partition.parts, groups = partition.groups;
  at::Tensor sums = parts == 1 ? result : at::empty({parts, out, k, k, in}, at::kFloat);
  const std::vector<T> zeros(in);
  const T *images = data<T>(input), *gradients = data<T>(gradient);
  float* target = sums.mutable_data_ptr<float>();
  std::vector<std::vector<float>> scratch(at::get_num_threads());
  parallel_tasks(parts * groups, [&](int64_t task, int thread) {
    const int64_t part = task / groups, group = task % groups;
    const auto [first, last] = partition.channels(group);
    const int64_t row = shares_out ? first : 0, column = shares_out ? 0 : first;
    accumulate<T>(
        {.taps = taps,
         .rows = shares_out ? last - first : out,
         .columns = shares_out ? in : last - first,
         .out = target + (part * out + row) * taps * in + column,
         .stride = taps * in,
         .tap_stride = in,
         .first = true},
        partition.first_pixel(part), partition.first_pixel(part + 1),
        [&](int64_t pixel, Rows<T>& rows) {
          int64_t image = pixel / out_width / out_height, y = pixel / out_width % out_height, x = pixel % out_width;
          for (int64_t t = 0; t < rows.count; t++) {
            rows.a[t] = gradients + (pixel + t) * out + row;
            const T** b = rows.b.data() + t;
            for (int64_t top = y * conv.stride - padding, i = 0; i < k; i++, top++)
              for (int64_t left = x * conv.stride - padding, j = 0; j < k; j++, left++, b += rows.count) {
                const bool inside = left >= 0 && left < width && top >= 0 && top < height;
                *b = inside ? images + ((image * height + top) * width + left) * in + column : zeros.data();
              }
            if (++x < out_width) continue;
            x = 0;
            if (++y < out_height) continue;
            y = 0;
            image++;
          }
        },
        scratch[thread]);
  });
  if (parts > 1) add_up(sums, result);
}

void weight_gradient(const at::Tensor& x, const at::Tensor& gradient, const nn::Conv2d& conv, at::Tensor& result) {
  if (x.scalar_type() == at::kFloat)
    weight_gradient_of<float>(x, gradient, conv, result);
  else
    weight_gradient_of<kernels::BFloat16>(x, gradient, conv, result);
}

// With V = B^T d B of each tile's inputs and dM = A dy A^T of its outputs' gradients, dU = sum of dM^T V, and the
// weight's gradient is G^T dU G.
template <class T>
void winograd_weight_gradient_of(const at::Tensor& x, const at::Tensor& gradient, at::Tensor& result) {
  constexpr int64_t kCache = (4 << 20) / sizeof(T);  // values of V and dM at a time
  constexpr int64_t points = Winograd::kPoints;
  const int64_t in = x.size(1), out = gradient.size(1), height = x.size(2), width = x.size(3);
  const int64_t tiles = ((height + 3) / 4) * ((width + 3) / 4);  // of an image
  const int64_t images = std::clamp<int64_t>(kCache / (points * tiles * (in + out)), 1, x.size(0));
  const int64_t most = images * tiles;
  const int64_t v_stride = most * in + kernels::kPad, m_stride = most * out + kernels::kPad;  // from point to point
  at::Tensor transformed = at::empty({points * (v_stride + m_stride)}, x.options());          // V, then dM
  T *v = mutable_data<T>(transformed), *m = v + points * v_stride;
  at::Tensor sums = at::empty({points, out, in}, at::kFloat);
  std::vector<std::vector<float>> scratch(at::get_num_threads());
  for (int64_t image = 0; image < x.size(0); image += images) {
    const int64_t count = std::min(images, x.size(0) - image) * tiles, parts = (count + 7) / 8;
    auto tiles_of = [&](const at::Tensor& from, int64_t part, T* to, int64_t stride) {
      const int64_t channels = from.size(1);
      return kernels::WinogradTiles<T>{height,
                                       width,
                                       channels,
                                       data<T>(from) + image * height * width * channels,
                                       count * part / parts,
                                       count * (part + 1) / parts,
                                       to,
                                       stride};
    };
    parallel_tasks(parts, [&](int64_t part, int) {
      table().of<T>().winograd_inputs(tiles_of(x, part, v, v_stride));
      table().of<T>().winograd_gradients(tiles_of(gradient, part, m, m_stride));
    });
    parallel_tasks(points, [&](int64_t point, int thread) {
      const T* inputs = v + point * v_stride;
      const T* gradients = m + point * m_stride;
      accumulate<T>(
          {.rows = out,
           .columns = in,
           .out = sums.mutable_data_ptr<float>() + point * out * in,
           .stride = in,
           .first = image == 0},
          0, count,
          [&](int64_t first, Rows<T>& rows) {
            for (int64_t t = 0; t < rows.count; t++) {
              rows.a[t] = gradients + (first + t) * out;
              rows.b[t] = inputs + (first + t) * in;
            }
          },
          scratch[thread]);
    });
  }
  ops::unpack_winograd(sums, result);
}

void winograd_weight_gradient(const at::Tensor& x, const at::Tensor& gradient, at::Tensor& result) {
  if (x.scalar_type() == at::kFloat)
    winograd_weight_gradient_of<float>(x, gradient, result);
  else
    winograd_weight_gradient_of<kernels::BFloat16>(x, gradient, result);
}

}  // namespace visiontorch::autograd
