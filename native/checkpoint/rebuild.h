#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "checkpoint/arguments.h"

// Rebuilds tensors as torch/_utils.py does. Anything but a strided tensor becomes a dictionary of its parts.

namespace visiontorch::checkpoint {

Value make_dict(Arena& arena, std::initializer_list<std::pair<std::string_view, Value>> items);

// torch.Tensor(), which gets its data from BUILD.
Value empty_tensor(at::ScalarType dtype, Arena& arena);
// BUILD of such a tensor: (storage, offset, size, stride), or another tensor and flags.
void set_tensor(TensorSpec& tensor, const Value& state);

Value rebuild_tensor(const Arguments& arguments, Arena& arena);  // also _v2
Value rebuild_tensor_v3(const Arguments& arguments, Arena& arena);
Value rebuild_parameter(const Arguments& arguments, Arena& arena);
Value rebuild_device_tensor(const Arguments& arguments, Arena& arena);
// { type: 'quantized', dtype, shape, data, scheme, scale, zero_point } with per-tensor parameters;
// { ..., scales, zero_points, axis } with per-channel parameters.
Value rebuild_quantized_tensor(const Arguments& arguments, Arena& arena);
// { type: 'sparse', layout, shape, indices, values }, or { ..., compressed_indices, plain_indices, values }.
Value rebuild_sparse_tensor(const Arguments& arguments, Arena& arena);
Value sparse_coo(const Arguments& arguments, Arena& arena);
// { type: 'nested', buffer, sizes, strides, offsets }
Value rebuild_nested_tensor(const Arguments& arguments, Arena& arena);
// { type: 'meta', dtype, shape, strides }: a tensor without data.
Value rebuild_meta_tensor(const Arguments& arguments, Arena& arena);
// { type: 'wrapper', class, dtype, shape, strides }, with `state` if it has attributes.
Value rebuild_wrapper(const Arguments& arguments, Arena& arena);

}  // namespace visiontorch::checkpoint
