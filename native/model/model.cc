#include "model/model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "eager/forward.h"
#include "nn/init.h"
#include "onnx/lowering.h"
#include "quantize/layers.h"
#include "quantize/saved.h"
#include "quantize/simulate.h"
#include "runtime/autocast.h"
#include "runtime/error.h"

namespace visiontorch::model {

namespace {

// Each plan has a packed copy of the weights (VGG16: 240 MB), so the model keeps only two, for example one for single
// images and one for batches.
constexpr size_t kMaxPlans = 2;

// Moves every tensor that is not on the device yet.
void move_to_device(nn::Network& network, at::Device device) {
  for (nn::Entry& entry : network.entries()) *entry.tensor = entry.tensor->detach().to(device);
}

}  // namespace

Model::Model(const std::string& architecture, int64_t num_classes, const nn::Options& options,
             std::optional<uint64_t> seed)
    : network_(nn::create(architecture, num_classes, options)), options_(options) {
  if (seed) nn::initialize(network_, *seed);
}

Model::Model(const Model& other)
    : network_(other.network_.clone()),
      quantization_(other.quantization_),
      options_(other.options_),
      device_(other.device_),
      dtype_(other.dtype_) {}

Model::Model(const Model& other, nn::Network network, nn::Quantization quantization)
    : network_(std::move(network)),
      quantization_(std::move(quantization)),
      options_(other.options_),
      device_(other.device_),
      dtype_(is_quantized() ? at::kChar : at::kFloat) {}

std::vector<Model::Entry> Model::entries() {
  std::vector<Entry> result;
  for (const nn::Entry& entry : network_.entries())
    result.push_back({entry.name, entry.tensor->sizes().vec(), entry.tensor->scalar_type(), entry.is_parameter});
  return result;
}

std::vector<std::string> Model::quantizable_layers() {
  std::vector<std::string> names;
  for (const quantize::Layer& layer : quantize::layers(network_)) names.push_back(layer.name);
  return names;
}

infer::Plan& Model::plan_for(at::IntArrayRef sizes, at::ScalarType type) {
  // The packing depends only on whether there are several images, so a data set's last, smaller batch shares the plan.
  const bool single = sizes[0] == 1;
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    if (it->height == sizes[2] && it->width == sizes[3] && (it->single == single || !device_.is_cpu())) {
      plans_.splice(plans_.begin(), plans_, it);
      return plans_.front().plan;
    }
  }
  while (plans_.size() >= kMaxPlans) plans_.pop_back();
  plans_.push_front({sizes[2], sizes[3], single,
                     infer::Plan(network_, sizes, type, device_, dtype_ == at::kChar ? &quantization_ : nullptr)});
  return plans_.front().plan;
}

void Model::forget_plans(Part part) {
  switch (part) {
    case Part::All: plans_.clear(); return;
    case Part::Classifier:
      for (CachedPlan& cached : plans_) cached.plan.forget_classifier();
      return;
  }
}

at::Tensor Model::simulate_integers(const at::Tensor& images, Output output) {
  const quantize::Simulation simulation(network_, quantization_);
  const eager::Mode mode = simulation.mode();
  const at::Tensor features = eager::forward(network_.backbone, images.to(device_), mode);
  switch (output) {
    case Output::Logits: return eager::forward(network_.classifier, features, mode).to(at::kCPU);
    case Output::Features: return (features.dim() == 4 ? features.mean({2, 3}) : features).to(at::kCPU);
    case Output::Backbone: return features.to(at::kCPU);
  }
  return features;
}

std::optional<nn::ByteScale> Model::input_bytes() const {
  if (dtype_ != at::kChar || !infer::Plan::supports_int8(device_)) return {};
  return infer::Int8Layers(network_, quantization_).input();
}

at::Tensor Model::infer(const at::Tensor& images, Output output, const std::optional<nn::ByteScale>& scale) {
  at::NoGradGuard no_grad;
  auto floats = [&] { return scale ? infer::from_bytes(images, *scale) : images; };
  const bool in_integers = dtype_ == at::kChar;
  if (in_integers && !infer::Plan::supports_int8(device_)) return simulate_integers(floats(), output);
  infer::Plan& plan = plan_for(images.sizes(), in_integers ? at::kFloat : compute_type(device_.type(), dtype_));
  // Bytes of another scale are those of a batch that was begun before the model's type changed.
  const at::Tensor features = plan.features(scale == plan.input() ? images : floats());
  auto result = [&] {
    switch (output) {
      case Output::Logits: return plan.logits(network_, features);
      case Output::Features: return features.dim() == 4 ? features.to(at::kFloat).mean({2, 3}) : features;
      case Output::Backbone: return features;
    }
    return features;
  };
  return result().to(at::kCPU, at::kFloat);
}

onnx::Graph Model::onnx_graph(int64_t height, int64_t width, int64_t opset) const {
  return onnx::lower(network_, dtype_ == at::kChar ? quantization_ : nn::Quantization{}, height, width, opset);
}

void Model::replace_classifier(int64_t num_classes, uint64_t seed) {
  change(Part::Classifier, [&](nn::Network& network) {
    nn::replace_classifier(network, num_classes, options_);
    nn::initialize_classifier(network, seed);
    move_to_device(network, device_);
  });
}

void Model::move_to(at::Device device) {
  if (device == device_) return;
  change(Part::All, [&](nn::Network& network) { move_to_device(network, device); });
  device_ = device;
}

void Model::set_dtype(at::ScalarType dtype) {
  if (dtype == dtype_) return;
  if (dtype == at::kChar && !is_quantized())
    throw Error("ERR_INVALID_ARGUMENT",
                "dtype: expected float32 or bfloat16, got int8: the model is not quantized. Quantize it first: "
                "model.quantize(), or visiontorch quantize on the command line");
  dtype_ = dtype;
  forget_plans(Part::All);
}

checkpoint::Match Model::load_state_dict(checkpoint::File& file, const checkpoint::MatchOptions& options, bool strict) {
  checkpoint::Match match = checkpoint::match_state_dict(network_, file.content(), options);
  const bool is_whole = match.missing.empty() && match.mismatched.empty() && match.unexpected.empty();
  if (is_whole || !strict)
    change(Part::All, [&](nn::Network& network) {
      checkpoint::load_state_dict(network, match, file);
      quantization_ = quantize::load(network, match, file);
    });
  return match;
}

}  // namespace visiontorch::model
