#include "infer/onednn.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>

#include <array>

#include "eager/activate.h"

namespace visiontorch::infer::onednn {

namespace {

using c10::List;
using std::optional;
using std::string_view;
using Scalars = List<optional<at::Scalar>>;

template <class Signature>
auto find(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

struct Post {
  string_view attribute = "none";
  Scalars scalars;
  optional<string_view> algorithm;
};

Post post_op(optional<nn::Activation> activation) {
  if (!activation) return {"none", Scalars(), std::nullopt};
  switch (*activation) {
    case nn::Activation::ReLU: return {"relu", Scalars(), std::nullopt};
    case nn::Activation::ReLU6: {
      Scalars limits;
      limits.push_back(at::Scalar(0.0));
      limits.push_back(at::Scalar(6.0));
      return {"hardtanh", limits, std::nullopt};
    }
    case nn::Activation::Hardswish: return {"hardswish", Scalars(), std::nullopt};
    case nn::Activation::Hardsigmoid: return {"hardsigmoid", Scalars(), std::nullopt};
    case nn::Activation::SiLU: return {"swish", Scalars(), std::nullopt};
    case nn::Activation::Sigmoid: return {"sigmoid", Scalars(), std::nullopt};
    case nn::Activation::GELU: return {"gelu", Scalars(), "none"};
    case nn::Activation::Tanh: return {"tanh", Scalars(), std::nullopt};
  }
  return {"none", Scalars(), std::nullopt};
}

std::array<int64_t, 2> pair(int64_t value) { return {value, value}; }

}  // namespace

bool available(at::ScalarType dtype) {
  if (!at::hasMKLDNN() || !at::globalContext().userEnabledMkldnn()) return false;
  if (!c10::Dispatcher::singleton().findSchema({"mkldnn::_convolution_pointwise", ""})) return false;
  return dtype == at::kFloat || (dtype == at::kBFloat16 && at::cpu::is_avx512_vnni_supported());
}

at::Tensor pack_convolution(const at::Tensor& weight, const nn::Conv2d& conv, at::IntArrayRef input_size) {
  using Signature = at::Tensor(const at::Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                               at::OptionalIntArrayRef);
  static auto op = find<Signature>("mkldnn::_reorder_convolution_weight");
  return op.call(weight, conv.padding.both(), pair(conv.stride), pair(conv.dilation), conv.groups, input_size);
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& packed, const optional<at::Tensor>& bias,
                       const nn::Conv2d& conv, optional<nn::Activation> activation) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const optional<at::Tensor>&, at::IntArrayRef,
                               at::IntArrayRef, at::IntArrayRef, int64_t, string_view, Scalars, optional<string_view>);
  static auto op = find<Signature>("mkldnn::_convolution_pointwise");
  Post post = post_op(activation);
  return op.call(x, packed, bias, conv.padding.both(), pair(conv.stride), pair(conv.dilation), conv.groups,
                 post.attribute, post.scalars, post.algorithm);
}

at::Tensor convolution_add_(at::Tensor other, const at::Tensor& x, const at::Tensor& packed,
                            const optional<at::Tensor>& bias, const nn::Conv2d& conv,
                            optional<nn::Activation> activation) {
  using Signature = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&, const optional<at::Tensor>&,
                                at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, string_view,
                                optional<at::Scalar>, optional<string_view>, Scalars, optional<string_view>);
  static auto op = find<Signature>("mkldnn::_convolution_pointwise_", "binary");
  const bool fused = activation == nn::Activation::ReLU;  // the only one that this operator supports
  op.call(other, x, packed, bias, conv.padding.both(), pair(conv.stride), pair(conv.dilation), conv.groups, "add",
          at::Scalar(1.0), fused ? optional<string_view>("relu") : std::nullopt, Scalars(), std::nullopt);
  return fused ? other : eager::activate_(other, activation);
}

at::Tensor pack_linear(const at::Tensor& weight, int64_t batch_size) {
  static auto op = find<at::Tensor(const at::Tensor&, optional<int64_t>)>("mkldnn::_reorder_linear_weight");
  return op.call(weight, batch_size);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias,
                  optional<nn::Activation> activation) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const optional<at::Tensor>&, string_view, Scalars,
                               optional<string_view>);
  static auto op = find<Signature>("mkldnn::_linear_pointwise");
  Post post = post_op(activation);
  return op.call(x, packed, bias, post.attribute, post.scalars, post.algorithm);
}

}  // namespace visiontorch::infer::onednn
