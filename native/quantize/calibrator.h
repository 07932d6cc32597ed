#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "eager/forward.h"
#include "quantize/histogram.h"
#include "quantize/layers.h"

namespace visiontorch::quantize {

// Determines how a network computes in integers (post-training quantization). Call observe() with calibration images,
// then measure() with some of them, then quantize().
class Calibrator {
 public:
  // Computes on the device of the network's tensors. This object owns the network.
  Calibrator(nn::Network network, Method method);
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;

  struct Scales {
    nn::ByteScale input;
    at::Tensor weight;  // float32 [out] or [1]
  };
  // Quantizes these layers, by name, with these scales, and no others. Takes the place of observe(). Throws
  // ERR_CHECKPOINT_MISMATCH if a layer's weights would not fill the range of the integers, as those do from which its
  // scales were computed.
  void use(const std::map<std::string, Scales>& scales);
  // images: float32 [n, 3, h, w]. Records the ranges of all layers' inputs. Throws ERR_NON_FINITE.
  void observe(const at::Tensor& images);
  // Compares each layer in integers with the same layer in float for the same inputs. By the mean error of each output,
  // quantize() corrects the bias (Nagel et al. 2019, arXiv:1906.04721).
  void measure(const at::Tensor& images);

  // Returns the names of the layers that can be quantized and whose scales are known, in the order of the state dict.
  std::vector<std::string> layers() const;

  struct Quantized {
    nn::Network network;  // whose layers hold the rounded weights
    nn::Quantization quantization;
  };
  // Quantizes all layers except these, whose parameters stay unchanged.
  Quantized quantize(const std::vector<std::string>& float_layers) const;

 private:
  struct Observed {
    Layer layer;
    Histogram input{};
    std::optional<Scales> given{};

    bool has_scales() const { return given.has_value() || !input.is_empty(); }

    // Created when the first images are measured.
    Layer::Affine folded{};
    QuantizedWeight quantized{};
    at::Tensor rounded{};  // the quantized weight in float32
    nn::ByteScale scale{};
    at::Tensor mean_error{};  // [out] in double, summed over the measured rows
    double rows = 0;
  };
  void run(const at::Tensor& images, const eager::InputHook& hook);
  void prepare();
  void compare(Observed& observed, const at::Tensor& input) const;

  nn::Network network_;
  Method method_;
  std::vector<Observed> observed_;
  std::unordered_map<const void*, size_t> by_weight_;
  bool prepared_ = false;
};

}  // namespace visiontorch::quantize
