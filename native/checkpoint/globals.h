#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/arena.h"
#include "checkpoint/dtype.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Where a pickle is being read, for errors: "at byte 2 of data.pkl".
struct Place {
  std::string_view pickle;
  uint64_t offset;
};

// A class or function that a pickle names. It is a name and no more: what it would do in Python, call() does.
struct Global : Value::Opaque {
  enum class What {
    Function,    // one of those that call() knows
    Storage,     // torch.FloatStorage, with its dtype; or untyped
    TensorType,  // torch.FloatTensor
    DType,
    Parameter,
    Unknown,  // anything else: never called, but its objects may be skipped
  };
  What what = What::Unknown;
  std::optional<at::ScalarType> dtype;
  std::string name;  // "collections.OrderedDict", as Python 3 names it
};

// An object of a class that the reader does not know, such as argparse.Namespace. It is skipped; but what was put into
// it as into a list or dictionary stands for it, and so does the data of a NumPy array.
struct Object : Value::Opaque {
  c10::intrusive_ptr<Global> type;
  Value items;             // or None
  bool is_module = false;  // a torch.nn.Module
};

// The global of this name. Throws ERR_CHECKPOINT_UNSAFE if it belongs to a module of Python that can run programs.
Value find_global(std::string_view module, std::string_view name, const Place& place, Budget& budget);

// The result of REDUCE: of a known function, whose arguments are checked by number and type, or an Object of an
// unknown class. Throws ERR_CHECKPOINT_UNSAFE for any other function.
Value call(const Value& callable, const Value::List& arguments, const Place& place, Arena& arena);

// The result of NEWOBJ.
Value create(const Value& type, const Value::List& arguments, const Place& place, Arena& arena);

// BUILD: gives an object its state. Attributes are not kept; old tensors and NumPy's arrays get their data.
void set_state(const Value& target, const Value& state, const Place& place, Arena& arena);

// Python's bytes.
Value make_bytes(std::string_view bytes, Budget& budget);

}  // namespace visiontorch::checkpoint
