// MobileNetV3: Howard et al. 2019, arXiv:1905.02244; names and order of torchvision/models/mobilenetv3.py.
#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

constexpr BatchNormOptions kNorm{.eps = 0.001, .momentum = 0.01};

// A row of tables 1 and 2 of the paper.
struct Row {
  int64_t kernel, expanded, out;
  bool excites;
  Activation activation;
  int64_t stride;
};

constexpr Activation RE = Activation::ReLU, HS = Activation::Hardswish;

const std::vector<Row> kLarge = {
    {3, 16, 16, false, RE, 1},  {3, 64, 24, false, RE, 2},  {3, 72, 24, false, RE, 1},  {5, 72, 40, true, RE, 2},
    {5, 120, 40, true, RE, 1},  {5, 120, 40, true, RE, 1},  {3, 240, 80, false, HS, 2}, {3, 200, 80, false, HS, 1},
    {3, 184, 80, false, HS, 1}, {3, 184, 80, false, HS, 1}, {3, 480, 112, true, HS, 1}, {3, 672, 112, true, HS, 1},
    {5, 672, 160, true, HS, 2}, {5, 960, 160, true, HS, 1}, {5, 960, 160, true, HS, 1},
};
const std::vector<Row> kSmall = {
    {3, 16, 16, true, RE, 2},  {3, 72, 24, false, RE, 2}, {3, 88, 24, false, RE, 1}, {5, 96, 40, true, HS, 2},
    {5, 240, 40, true, HS, 1}, {5, 240, 40, true, HS, 1}, {5, 120, 48, true, HS, 1}, {5, 144, 48, true, HS, 1},
    {5, 288, 96, true, HS, 2}, {5, 576, 96, true, HS, 1}, {5, 576, 96, true, HS, 1},
};
constexpr size_t kTail = 3;  // the last rows, which torchvision's reduced_tail and dilated change

InvertedResidual inverted_residual(int64_t in, const Row& row, int64_t dilation, const BatchNormOptions& norm) {
  int index = 0;
  auto next_name = [&] { return "block." + std::to_string(index++); };
  auto conv_norm = [&](Conv2d conv, std::optional<Activation> activation) {
    const std::string name = next_name();
    return conv_norm_activation(std::move(conv), activation, norm, {name + ".0", name + ".1", name + ".2"});
  };
  std::optional<Conv2dNormActivation> expand;
  if (row.expanded != in)
    expand = conv_norm({.in_channels = in, .out_channels = row.expanded, .kernel_size = 1}, row.activation);
  const Conv2dNormActivation depthwise = conv_norm({.in_channels = row.expanded,
                                                    .out_channels = row.expanded,
                                                    .kernel_size = row.kernel,
                                                    .stride = dilation > 1 ? 1 : row.stride,
                                                    .dilation = dilation,
                                                    .groups = row.expanded},
                                                   row.activation);
  std::optional<SqueezeExcitation> excitation;
  if (row.excites) {
    const int64_t squeezed = make_divisible(static_cast<double>(row.expanded / 4), 8);
    excitation.emplace(row.expanded, squeezed, Activation::ReLU, Activation::Hardsigmoid, next_name());
  }
  return {.expand = expand,
          .depthwise = depthwise,
          .project = conv_norm({.in_channels = row.expanded, .out_channels = row.out, .kernel_size = 1}, std::nullopt),
          .residual = row.stride == 1 && in == row.out,
          .excitation = excitation};
}

void redraw(Network& network, at::Generator& generator) { redraw_normal(network, 0.01, generator); }

Network describe_mobilenet_v3(const std::string& architecture, int64_t num_classes, const Options& options) {
  const bool large = architecture == "mobilenet_v3_large";
  const double width_mult = options.number("widthMult", 1);
  const int64_t tail_divisor = options.flag("reducedTail", false) ? 2 : 1;
  const int64_t tail_dilation = options.flag("dilated", false) ? 2 : 1;
  BatchNormOptions norm = kNorm;
  norm.eps = options.number("batchNormEps", norm.eps);
  auto scaled = [&](int64_t channels) { return make_divisible(static_cast<double>(channels) * width_mult, 8); };

  const std::vector<Row>& rows = large ? kLarge : kSmall;
  int64_t channels = scaled(16);
  Nodes features = {{"0", conv_norm_activation(
                              {.in_channels = 3, .out_channels = channels, .kernel_size = 3, .stride = 2}, HS, norm)}};
  for (size_t i = 0; i < rows.size(); i++) {
    Row row = rows[i];
    const bool tail = i + kTail >= rows.size(), reduces_expanded = i + kTail > rows.size();
    if (tail) row.out /= tail_divisor;
    if (reduces_expanded) row.expanded /= tail_divisor;
    row.expanded = scaled(row.expanded);
    row.out = scaled(row.out);
    features.push_back({std::to_string(i + 1), inverted_residual(channels, row, tail ? tail_dilation : 1, norm)});
    channels = row.out;
  }
  const int64_t pooled = 6 * channels, last = scaled((large ? 1280 : 1024) / tail_divisor);
  features.push_back(
      {std::to_string(features.size()),
       conv_norm_activation({.in_channels = channels, .out_channels = pooled, .kernel_size = 1}, HS, norm)});

  return {architecture,
          num_classes,
          {{"features", Sequential{features}},
           {"avgpool", AdaptiveAvgPool2d{1}},
           {"flatten", Flatten{}},
           {"", LinearActivation{Linear{pooled, last}, HS, {"classifier.0", "classifier.1"}}}},
          {{"classifier.2", Dropout{options.number("dropout", 0.2)}}, {"classifier.3", Linear{last, num_classes}}},
          redraw};
}

}  // namespace

Family mobilenet_v3_family() {
  return {"mobilenet_v3",
          {"mobilenet_v3_large", "mobilenet_v3_small"},
          {"widthMult", "reducedTail", "dilated", "dropout", "batchNormEps"},
          "classifier.3",
          describe_mobilenet_v3};
}

}  // namespace visiontorch::nn
