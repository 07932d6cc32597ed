#include "image/transform.h"

#include <algorithm>
#include <string>
#include <vector>

#include "image/color.h"
#include "image/enhance.h"
#include "image/tone.h"
#include "runtime/error.h"

namespace visiontorch::image {

namespace {

// Larger than any network's input.
constexpr int kLargest = 1 << 14;

[[noreturn]] void reject(const std::string& operation, const std::string& why) {
  throw Error("ERR_INVALID_ARGUMENT", "transform: " + operation + ": " + why);
}

void check_size(const std::string& operation, int width, int height) {
  if (width < 1 || height < 1 || width > kLargest || height > kLargest)
    reject(operation, "expected a size from 1 to " + std::to_string(kLargest) + ", got " + std::to_string(width) + "x" +
                          std::to_string(height));
}

Image to_rgb(const Pixels& pixels) {
  Image result(pixels.width, pixels.height);
  const std::size_t count = std::size_t(pixels.width) * pixels.height;
  std::uint8_t* out = result.data();
  const bool gray = pixels.channels == 1;
  for (std::size_t i = 0; i < count; i++, out += 3) {
    const std::uint8_t* in = pixels.data + i * pixels.channels;
    out[0] = in[0];
    out[1] = in[gray ? 0 : 1];
    out[2] = in[gray ? 0 : 2];
  }
  return result;
}

Image run(View source, const Resize& op) {
  check_size("resize", op.crop.width, op.crop.height);
  if (!source.contains(op.from)) reject("resize", "'from' extends beyond the image");
  if (!View{nullptr, op.width, op.height, 0}.contains(op.crop)) reject("resize", "'crop' extends beyond the result");
  return resize(source.region(op.from), op.width, op.height, op.crop, op.filter);
}

void run(Image& image, const Adjust& op) {
  using What = Adjust::What;
  const double amount = op.amount;
  switch (op.what) {
    case What::Brightness: return enhance_brightness(image, amount);
    case What::Contrast: return enhance_contrast(image, amount);
    case What::Saturation: return enhance_color(image, amount);
    case What::Sharpness: return enhance_sharpness(image, amount);
    case What::Hue:
      if (amount < -0.5 || amount > 0.5) reject("hue", "expected an amount from -0.5 to 0.5");
      return shift_hue(image, amount);
    case What::Posterize:
      if (amount < 0 || amount > 8) reject("posterize", "expected 0 to 8 bits");
      return posterize(image, int(amount));
    case What::Solarize: return solarize(image, amount);
    case What::Autocontrast: return autocontrast(image);
    case What::Equalize: return equalize(image);
    case What::Invert: return invert(image);
  }
}

void mix(Image& image, const Mix& op);

struct Runner {
  Image& image;

  void operator()(const Resize& op) { image = run(image.view(), op); }
  void operator()(const Pad& op) {
    check_size("pad", op.width, op.height);
    if (!View{nullptr, op.width, op.height, 0}.contains({op.left, op.top, image.width(), image.height()}))
      reject("pad", "the image does not fit the canvas");
    image = pad(image, op.width, op.height, op.left, op.top, op.fill);
  }
  void operator()(const HorizontalFlip&) { flip_horizontal(image); }
  void operator()(const VerticalFlip&) { flip_vertical(image); }
  void operator()(const Affine& op) {
    if (op.filter == Filter::Bicubic) reject("affine", "expected the filter nearest or bilinear");
    image = affine(image, op.matrix, op.filter, op.fill);
  }
  void operator()(const Adjust& op) { run(image, op); }
  void operator()(const Erase& op) {
    if (!image.view().contains(op.box)) reject("erase", "'box' extends beyond the image");
    erase(image, op.box, op.fill);
  }
  void operator()(const Mix& op) { mix(image, op); }
};

// In the order and precision of torchvision's AugMix: float32, truncated to integers at the end.
void mix(Image& image, const Mix& op) {
  std::vector<float> sum(image.size());
  for (std::size_t i = 0; i < sum.size(); i++) sum[i] = op.weight * image.data()[i];
  for (const Chain& chain : op.chains) {
    Image changed = copy(image.view());
    for (const Operation& operation : chain.operations) std::visit(Runner{changed}, operation);
    if (changed.width() != image.width() || changed.height() != image.height())
      reject("mix", "a chain changes the size of the image");
    for (std::size_t i = 0; i < sum.size(); i++) {
      const float part = chain.weight * changed.data()[i];
      sum[i] += part;
    }
  }
  for (std::size_t i = 0; i < sum.size(); i++) image.data()[i] = std::uint8_t(std::clamp(sum[i], 0.0f, 255.0f));
}

}  // namespace

Image apply(const Pixels& pixels, const Transform& transform) {
  Image image;
  auto next = transform.begin();
  // An initial resize of RGB reads the decoded pixels in place; anything else works on a copy.
  if (pixels.channels == 3 && next != transform.end() && std::holds_alternative<Resize>(*next)) {
    const View source{pixels.data, pixels.width, pixels.height, std::size_t(pixels.width) * 3};
    image = run(source, std::get<Resize>(*next++));
  } else {
    image = to_rgb(pixels);
  }
  for (; next != transform.end(); ++next) std::visit(Runner{image}, *next);
  return image;
}

}  // namespace visiontorch::image
