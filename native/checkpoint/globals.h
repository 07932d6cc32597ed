#pragma once

#include <optional>
#include <string>

#include "checkpoint/arena.h"
#include "checkpoint/dtype.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// A class or function that a pickle names. It is a name and no more: what it would do in Python, call() does.
struct Global : Value::Opaque {
  enum class What {
    OrderedDict,
    Set,
    Bytes,
    Encode,
    Storage,     // with a dtype, or untyped
    TensorType,  // torch.FloatTensor: in tar files
    DType,
    Size,
    Device,
    Parameter,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
  };
  What what;
  std::optional<at::ScalarType> dtype;
  std::string name;  // "collections.OrderedDict"
  uint64_t offset;   // where the pickle names it
};

// The global of this name. Throws ERR_CHECKPOINT_UNSAFE, or ERR_CHECKPOINT_UNSUPPORTED for what is known and harmless
// but not read: whole modules, quantized, sparse and complex tensors. `where` names the pickle in errors.
Value find_global(std::string_view module, std::string_view name, const std::string& where, uint64_t offset);

// The result of REDUCE or NEWOBJ: checks the arguments by number and type.
Value call(const Global& global, const Value::List& arguments, Arena& arena);

}  // namespace visiontorch::checkpoint
