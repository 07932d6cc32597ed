#include "infer/plan.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "infer/cpu.h"
#include "infer/cuda.h"
#include "infer/int8.h"
#include "runtime/allocator.h"

namespace visiontorch::infer {

namespace {

// On the CPU, four images of 224 x 224, or one per thread: their activations stay in the last-level cache from layer to
// layer, and there is still enough work for all threads.
int64_t chunk(at::IntArrayRef images, at::Device device) {
  constexpr int64_t kImages = 4, kPixels = 224 * 224;
  if (!device.is_cpu()) return images[0];
  return std::max<int64_t>(1, std::max<int64_t>(kImages, at::get_num_threads()) * kPixels / (images[2] * images[3]));
}

}  // namespace

bool Plan::supports_int8(at::Device device) { return device.is_cpu() && Int8Lowering::is_available(); }

Plan::Plan(const nn::Network& network, at::IntArrayRef images, at::ScalarType dtype, at::Device device,
           const nn::Quantization* quantization)
    : dtype_(dtype),
      device_(device),
      int8_layers_(quantization ? std::make_shared<const Int8Layers>(network, *quantization) : nullptr),
      chunk_(chunk(images, device)),
      lowering_(lowering(network, std::min(images[0], chunk_))) {
  nn::check_image_size(network, images[2], images[3]);
  const UsualPages pages;
  lowering_->lower(network.backbone, {images[1], images[2], images[3]}, backbone_);
}

std::unique_ptr<Lowering> Plan::lowering(const nn::Network& network, int64_t count) const {
  if (int8_layers_) return std::make_unique<Int8Lowering>(int8_layers_, count);
  if (device_.is_cpu()) return std::make_unique<CpuLowering>(dtype_, count);
  return std::make_unique<CudaLowering>(network, dtype_, device_);
}

at::Tensor Plan::features(const at::Tensor& images) const {
  const at::Tensor x = lowering_->prepare(images);
  if (!device_.is_cpu()) return run(backbone_, x);
  const int64_t count = x.size(0), chunks = (count + chunk_ - 1) / chunk_;
  std::vector<at::Tensor> results;
  for (int64_t i = 0; i < chunks; i++)
    results.push_back(run(backbone_, x.slice(0, count * i / chunks, count * (i + 1) / chunks)));
  return chunks == 1 ? results[0] : at::cat(results);
}

at::Tensor Plan::logits(const nn::Network& network, const at::Tensor& features) {
  if (classifier_.empty())
    lowering(network, features.size(0))->lower(network.classifier, features.sizes().slice(1).vec(), classifier_);
  return run(classifier_, features).to(at::kFloat);
}

}  // namespace visiontorch::infer
