#pragma once

#include "checkpoint/file.h"
#include "checkpoint/state_dict.h"
#include "checkpoint/value.h"
#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::quantize {

// A quantized network in a checkpoint. In its state dict, the weights of the quantized layers are int8. Next to it is
// the dictionary 'quantization' with the tensors '<layer>.weight_scale' (float32 [out]), '<layer>.input_scale'
// (float32) and '<layer>.input_zero_point' (uint8). A layer's weight is weight * weight_scale.

inline constexpr const char* kKey = "quantization";

// Returns the state dict with the quantized layers' weights in integers.
checkpoint::Value quantized_weights(const checkpoint::Value& state_dict, const nn::Quantization& quantization);
// Returns the dictionary 'quantization'.
checkpoint::Value scales(const nn::Quantization& quantization);

// Returns the quantization of a network into which this file's weights were loaded, and multiplies the integer weights
// by their scales. Empty if the file is not quantized. Throws ERR_CHECKPOINT_MISMATCH if its integers or scales cannot
// belong to such a network; then the network is unusable.
nn::Quantization load(nn::Network& network, const checkpoint::Match& match, checkpoint::File& file);

}  // namespace visiontorch::quantize
