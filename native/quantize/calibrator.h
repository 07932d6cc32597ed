#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "eager/forward.h"
#include "quantize/histogram.h"
#include "quantize/layers.h"

namespace visiontorch::quantize {

// Finds out how a network can compute in integers (post-training quantization): first observe() of calibration images,
// then measure() of some of them, then quantize().
class Calibrator {
 public:
  // Images are computed on the device of the network's tensors. The network is this object's own.
  Calibrator(nn::Network network, Method method);
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;

  // images: float32 [n, 3, h, w]. Notes the ranges of all layers' inputs. Throws ERR_NON_FINITE.
  void observe(const at::Tensor& images);
  // Compares each layer in integers with the same layer in float, for the same inputs: for the errors of errors(), and
  // the mean error of each output, by which quantize() corrects the bias (Nagel et al. 2019, arXiv:1906.04721).
  void measure(const at::Tensor& images);

  // How much of a layer's output is noise: the sum of squares of the error as a share of that of the output.
  struct LayerError {
    std::string name;
    double error;
  };
  // Of the layers that can be quantized, in the order of the state dict: those that observed images went through.
  std::vector<LayerError> errors() const;

  struct Quantized {
    nn::Network network;  // whose layers hold the rounded weights
    nn::Quantization quantization;
  };
  // All layers but these in integers. Layers in float keep their parameters as they are.
  Quantized quantize(const std::vector<std::string>& float_layers) const;

 private:
  struct Observed {
    Layer layer;
    Histogram input{};
    // Made when the first images are measured.
    Layer::Affine folded{};
    QuantizedWeight quantized{};
    at::Tensor rounded{};  // the quantized weight in float32
    nn::ByteScale scale{};
    at::Tensor mean_error{};  // [out] in double, summed over the measured rows
    double rows = 0, noise = 0, signal = 0;
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
