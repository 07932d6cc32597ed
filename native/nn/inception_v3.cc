// Inception V3: Szegedy et al. 2015, arXiv:1512.00567; names and order of torchvision/models/inception.py.
#include "nn/inception.h"
#include "nn/init.h"
#include "nn/registry.h"

namespace visiontorch::nn {

namespace {

// A 3 x 3 pooling that keeps the size, then a 1 x 1 convolution.
Node pooled(int64_t in, int64_t out) {
  return {"", Sequential{{{"avgpool", AvgPool2d{3, 1, 1}}, basic_conv("branch_pool", in, out, 1)}}};
}

Node sequence(const Nodes& nodes) { return {"", Sequential{nodes}}; }

const Size k1x3(1, 3), k3x1(3, 1), k1x7(1, 7), k7x1(7, 1), p0x1(0, 1), p1x0(1, 0), p0x3(0, 3), p3x0(3, 0);

// Figure 5.
Concat inception_a(int64_t in, int64_t pool_features) {
  return {{basic_conv("branch1x1", in, 64, 1),
           sequence({basic_conv("branch5x5_1", in, 48, 1), basic_conv("branch5x5_2", 48, 64, 5, 2)}),
           sequence({basic_conv("branch3x3dbl_1", in, 64, 1), basic_conv("branch3x3dbl_2", 64, 96, 3, 1),
                     basic_conv("branch3x3dbl_3", 96, 96, 3, 1)}),
           pooled(in, pool_features)}};
}

// Figure 10: halves the image.
Concat inception_b(int64_t in) {
  return {{basic_conv("branch3x3", in, 384, 3, 0, 2),
           sequence({basic_conv("branch3x3dbl_1", in, 64, 1), basic_conv("branch3x3dbl_2", 64, 96, 3, 1),
                     basic_conv("branch3x3dbl_3", 96, 96, 3, 0, 2)}),
           {"maxpool", MaxPool2d{3, 2}}}};
}

// Figure 6, with n = 7.
Concat inception_c(int64_t in, int64_t c7) {
  return {{basic_conv("branch1x1", in, 192, 1),
           sequence({basic_conv("branch7x7_1", in, c7, 1), basic_conv("branch7x7_2", c7, c7, k1x7, p0x3),
                     basic_conv("branch7x7_3", c7, 192, k7x1, p3x0)}),
           sequence({basic_conv("branch7x7dbl_1", in, c7, 1), basic_conv("branch7x7dbl_2", c7, c7, k7x1, p3x0),
                     basic_conv("branch7x7dbl_3", c7, c7, k1x7, p0x3), basic_conv("branch7x7dbl_4", c7, c7, k7x1, p3x0),
                     basic_conv("branch7x7dbl_5", c7, 192, k1x7, p0x3)}),
           pooled(in, 192)}};
}

// Halves the image.
Concat inception_d(int64_t in) {
  return {
      {sequence({basic_conv("branch3x3_1", in, 192, 1), basic_conv("branch3x3_2", 192, 320, 3, 0, 2)}),
       sequence({basic_conv("branch7x7x3_1", in, 192, 1), basic_conv("branch7x7x3_2", 192, 192, k1x7, p0x3),
                 basic_conv("branch7x7x3_3", 192, 192, k7x1, p3x0), basic_conv("branch7x7x3_4", 192, 192, 3, 0, 2)}),
       {"maxpool", MaxPool2d{3, 2}}}};
}

// Figure 7.
Concat inception_e(int64_t in) {
  auto split = [](const std::string& a, const std::string& b) {
    return Node{"", Concat{{basic_conv(a, 384, 384, k1x3, p0x1), basic_conv(b, 384, 384, k3x1, p1x0)}}};
  };
  return {{basic_conv("branch1x1", in, 320, 1),
           sequence({basic_conv("branch3x3_1", in, 384, 1), split("branch3x3_2a", "branch3x3_2b")}),
           sequence({basic_conv("branch3x3dbl_1", in, 448, 1), basic_conv("branch3x3dbl_2", 448, 384, 3, 1),
                     split("branch3x3dbl_3a", "branch3x3dbl_3b")}),
           pooled(in, 192)}};
}

AuxiliaryHead auxiliary_head(int64_t in, int64_t num_classes) {
  return {{{"avgpool1", AvgPool2d{5, 3}},
           basic_conv("conv0", in, 128, 1),
           basic_conv("conv1", 128, 768, 5),
           {"avgpool2", AdaptiveAvgPool2d{1}},
           {"flatten", Flatten{}},
           {"fc", Linear{768, num_classes}}},
          /*loss_weight=*/0.4};
}

void redraw(Network& network, at::Generator& generator) {
  redraw_layers(network, [&](Layer layer) {
    if (auto* conv = std::get_if<Conv2d*>(&layer)) trunc_normal_((*conv)->weight, 0.1, generator);
    if (auto* linear = std::get_if<Linear*>(&layer))
      trunc_normal_((*linear)->weight, (*linear)->in_features == 768 ? 0.001 : 0.1, generator);
  });
}

Network describe_inception_v3(const std::string& architecture, int64_t num_classes, const Options& options) {
  Nodes backbone;
  if (options.flag("transformInput", false)) backbone.push_back(transform_input());
  const Nodes stem = {basic_conv("Conv2d_1a_3x3", 3, 32, 3, 0, 2),
                      basic_conv("Conv2d_2a_3x3", 32, 32, 3),
                      basic_conv("Conv2d_2b_3x3", 32, 64, 3, 1),
                      {"maxpool1", MaxPool2d{3, 2}},
                      basic_conv("Conv2d_3b_1x1", 64, 80, 1),
                      basic_conv("Conv2d_4a_3x3", 80, 192, 3),
                      {"maxpool2", MaxPool2d{3, 2}}};
  backbone.insert(backbone.end(), stem.begin(), stem.end());
  backbone.push_back({"Mixed_5b", inception_a(192, 32)});
  backbone.push_back({"Mixed_5c", inception_a(256, 64)});
  backbone.push_back({"Mixed_5d", inception_a(288, 64)});
  backbone.push_back({"Mixed_6a", inception_b(288)});
  backbone.push_back({"Mixed_6b", inception_c(768, 128)});
  backbone.push_back({"Mixed_6c", inception_c(768, 160)});
  backbone.push_back({"Mixed_6d", inception_c(768, 160)});
  backbone.push_back({"Mixed_6e", inception_c(768, 192)});
  if (options.flag("auxLogits", true)) backbone.push_back({"AuxLogits", auxiliary_head(768, num_classes)});
  backbone.push_back({"Mixed_7a", inception_d(768)});
  backbone.push_back({"Mixed_7b", inception_e(1280)});
  backbone.push_back({"Mixed_7c", inception_e(2048)});
  backbone.push_back({"avgpool", AdaptiveAvgPool2d{1}});
  backbone.push_back({"flatten", Flatten{}});
  return {.architecture = architecture,
          .num_classes = num_classes,
          .backbone = backbone,
          .classifier = {{"dropout", Dropout{options.number("dropout", 0.5)}}, {"fc", Linear{2048, num_classes}}},
          .redraw = redraw,
          .auxiliary_heads = {"AuxLogits"}};
}

}  // namespace

Family inception_v3_family() {
  return {"inception_v3", {"inception_v3"}, {"auxLogits", "transformInput", "dropout"}, "fc", describe_inception_v3};
}

}  // namespace visiontorch::nn
