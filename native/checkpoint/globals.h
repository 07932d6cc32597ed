#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/arena.h"
#include "checkpoint/dtype.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// A place in a pickle, for errors: "at byte 2 of data.pkl".
struct Place {
  std::string_view pickle;
  uint64_t offset;
};

// A class or function that a pickle names. This is only the name; call() does what it would do in Python.
struct Global : Value::Opaque {
  enum class What {
    Function,    // one that call() knows
    Storage,     // torch.FloatStorage, with its dtype; or an untyped storage
    TensorType,  // torch.FloatTensor
    DType,
    Parameter,
    Unknown,  // anything else: never called, and its objects are skipped
  };
  What what = What::Unknown;
  std::optional<at::ScalarType> dtype;
  std::string name;  // Python 3's name, such as "collections.OrderedDict"
};

// An object of a class that the reader does not know, such as argparse.Namespace. It is skipped, unless the pickle
// filled it like a list or dictionary, or it is a NumPy array: then `items` replaces it.
struct Object : Value::Opaque {
  c10::intrusive_ptr<Global> type;
  Value items;             // or None
  bool is_module = false;  // a torch.nn.Module
};

// Returns the global of this name. Throws ERR_CHECKPOINT_UNSAFE if it belongs to a Python module that can run programs.
Value find_global(std::string_view module, std::string_view name, const Place& place, Budget& budget);

// Returns the result of REDUCE: that of a known function, whose arguments are checked by number and type, or an Object
// of an unknown class. Throws ERR_CHECKPOINT_UNSAFE for any other function.
Value call(const Value& callable, const Value::List& arguments, const Place& place, Arena& arena);

// Returns the result of NEWOBJ.
Value create(const Value& type, const Value::List& arguments, const Place& place, Arena& arena);

// Executes BUILD, which gives an object its state. Attributes are dropped; old tensors and NumPy arrays get their data.
void set_state(const Value& target, const Value& state, const Place& place, Arena& arena);

// Makes Python's bytes.
Value make_bytes(std::string_view bytes, Budget& budget);

}  // namespace visiontorch::checkpoint
