#pragma once

#include "eager/forward.h"
#include "nn/network.h"
#include "nn/quantization.h"

namespace visiontorch::quantize {

// What a quantized network computes, in float32: the hook rounds the input of each quantized layer to bytes. The
// network and the quantization must outlive the hook.
eager::InputHook round_inputs(nn::Network& network, const nn::Quantization& quantization);

}  // namespace visiontorch::quantize
