#include "checkpoint/globals.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "checkpoint/bytes.h"
#include "checkpoint/numpy.h"
#include "checkpoint/rebuild.h"
#include "checkpoint/storages.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

using What = Global::What;

// The memory that a Global or an Object takes in addition to its name.
constexpr uint64_t kObject = 160;

[[noreturn]] void unsafe(const std::string& what, const Place& place, const char* why) {
  throw Error("ERR_CHECKPOINT_UNSAFE",
              "the pickle " + what + " at byte " + std::to_string(place.offset) + " of " + std::string(place.pickle) +
                  ", " + why +
                  ". Nothing was run. If you trust the file, load it in Python and save what you need: "
                  "torch.save(model.state_dict(), path)");
}

Value ordered_dict(const Arguments& arguments, Arena& arena) {
  Value result = arena.dict(Value::Kind::OrderedDict);
  if (arguments.size() == 0) return result;
  Value::Dict& items = result.as_dict();
  if (arguments[0].is_dict()) {
    arena.budget().charge(arguments[0].as_dict().size() * 2 * sizeof(Value));
    items = arguments[0].as_dict();
    return result;
  }
  for (const Value& pair : arguments.list(0)) {  // Python 2: a list of [key, value] lists
    if (!pair.is_list() || pair.as_list().size() != 2) arguments.wrong();
    arena.budget().charge(2 * sizeof(Value));
    items.emplace_back(pair.as_list()[0], pair.as_list()[1]);
  }
  return result;
}

// The first argument is the factory for missing values.
Value default_dict(const Arguments&, Arena& arena) { return arena.dict(); }

Value list_of(const Arguments& arguments, Arena& arena, Value::Kind kind) {
  return arena.list(arguments.size() == 0 ? Value::List{} : arguments.list(0), kind);
}
Value list(const Arguments& arguments, Arena& arena) { return list_of(arguments, arena, Value::Kind::List); }
Value tuple(const Arguments& arguments, Arena& arena) { return list_of(arguments, arena, Value::Kind::Tuple); }

Value size(const Arguments& arguments, Arena& arena) {
  if (arguments.size() > 0) arguments.integers(0);  // for the check
  return list_of(arguments, arena, Value::Kind::Tuple);
}

// Pickles of protocol 2 store bytes as _codecs.encode(text, 'latin1'), with one character below 256 per byte.
Value encode(const Arguments& arguments, Arena& arena) {
  const std::string& text = arguments.string(0);
  std::string encoding = arguments.size() < 2 ? "utf-8" : arguments.string(1);
  if (encoding == "utf-8" || encoding == "utf8") return make_bytes(text, arena.budget());
  if (encoding != "latin1" && encoding != "latin-1") arguments.wrong();
  arena.budget().charge(text.size());
  std::string result;
  for (size_t i = 0; i < text.size(); i++) {
    auto byte = static_cast<uint8_t>(text[i]);
    if (byte >= 0x80) {
      bool is_two_bytes = (byte == 0xC2 || byte == 0xC3) && i + 1 < text.size();
      if (!is_two_bytes) arguments.wrong();
      byte = static_cast<uint8_t>((byte & 3) << 6 | (text[++i] & 0x3F));
    }
    result.push_back(static_cast<char>(byte));
  }
  return make_bytes(result, arena.budget());
}

Value bytes(const Arguments& arguments, Arena& arena) {
  if (arguments.size() == 0) return make_bytes("", arena.budget());
  if (arguments.size() == 2) return encode(arguments, arena);  // bytearray(text, 'latin-1')
  if (arguments[0].kind() != Value::Kind::Bytes) arguments.wrong();
  return arguments[0];
}

Value complex(const Arguments& arguments, Arena& arena) {
  return make_dict(arena, {{"real", Value(arguments.number(0))},
                           {"imag", Value(arguments.size() == 2 ? arguments.number(1) : 0.0)}});
}

Value device(const Arguments& arguments, Arena& arena) {
  const std::string& name = arguments.string(0);
  if (arguments.size() == 1) return arguments[0];
  arena.budget().charge(kObject + name.size());
  return name + ":" + std::to_string(arguments.integer(1));
}

// torch.serialization._get_layout('torch.sparse_coo')
Value layout(const Arguments& arguments, Arena&) {
  arguments.string(0);
  return arguments[0];
}

Value new_object(const Value& type, Arena& arena) {
  arena.budget().charge(kObject);
  auto object = c10::make_intrusive<Object>();
  object->type = c10::intrusive_ptr<Global>::reclaim_copy(type.as_opaque<Global>());
  return object;
}

// getattr(Color, 'RED'): a member of an enumeration. copyreg._reconstructor(class, base, state).
Value object_of_class(const Arguments& arguments, Arena& arena) {
  auto* type = arguments[0].as_opaque<Global>();
  if (type == nullptr) arguments.wrong();
  return new_object(arguments[0], arena);
}

Value from_type(const Arguments& arguments, Arena& arena);

struct Known {
  std::string_view name;
  Value (*function)(const Arguments&, Arena&);  // nullptr: the result is a skipped object
  size_t least, most;
};

constexpr size_t kAny = ~size_t{0};

// The globals that torch.load(weights_only=True) allows (torch/_weights_only_unpickler.py of torch 2.13), and plain
// data types of Python's standard library and of NumPy. Storages, tensor types and dtypes are found by their dtype.
constexpr Known kFunctions[] = {
    {"_codecs.encode", encode, 1, 2},
    {"builtins.bytearray", bytes, 0, 2},
    {"builtins.complex", complex, 1, 2},
    {"builtins.set", list, 0, 1},
    {"collections.Counter", ordered_dict, 0, 1},
    {"collections.OrderedDict", ordered_dict, 0, 1},
    {"torch.Size", size, 0, 1},
    {"torch.device", device, 1, 2},
    {"torch.serialization._get_layout", layout, 1, 1},
    {"torch._tensor._rebuild_from_type_v2", from_type, 4, 4},
    {"torch._utils._rebuild_device_tensor_from_cpu_tensor", rebuild_device_tensor, 4, 4},
    {"torch._utils._rebuild_device_tensor_from_numpy", rebuild_device_tensor, 4, 4},
    {"torch._utils._rebuild_meta_tensor_no_storage", rebuild_meta_tensor, 4, 4},
    {"torch._utils._rebuild_nested_tensor", rebuild_nested_tensor, 4, 4},
    {"torch._utils._rebuild_parameter", rebuild_parameter, 3, 3},
    {"torch._utils._rebuild_parameter_with_state", rebuild_parameter, 4, 4},
    {"torch._utils._rebuild_qtensor", rebuild_quantized_tensor, 7, 7},
    {"torch._utils._rebuild_sparse_tensor", rebuild_sparse_tensor, 2, 2},
    {"torch._utils._rebuild_tensor", rebuild_tensor, 4, 4},
    {"torch._utils._rebuild_tensor_v2", rebuild_tensor, 6, 7},
    {"torch._utils._rebuild_tensor_v3", rebuild_tensor_v3, 7, 8},
    {"torch._utils._rebuild_wrapper_subclass", rebuild_wrapper, 8, 8},

    {"builtins.bytes", bytes, 0, 2},
    {"builtins.frozenset", tuple, 0, 1},
    {"builtins.bool", nullptr, 0, 1},
    {"builtins.dict", ordered_dict, 0, 1},
    {"builtins.float", nullptr, 0, 1},
    {"builtins.getattr", object_of_class, 2, 2},
    {"builtins.int", nullptr, 0, 2},
    {"builtins.list", list, 0, 1},
    {"builtins.object", nullptr, 0, 0},
    {"builtins.range", nullptr, 1, 3},
    {"builtins.slice", nullptr, 3, 3},
    {"builtins.str", nullptr, 0, 1},
    {"builtins.tuple", tuple, 0, 1},
    {"builtins.type", nullptr, 1, 1},
    {"collections.defaultdict", default_dict, 0, kAny},
    {"collections.deque", list, 0, 2},
    {"copyreg._reconstructor", object_of_class, 3, 3},
    {"datetime.date", nullptr, 0, kAny},
    {"datetime.datetime", nullptr, 0, kAny},
    {"datetime.time", nullptr, 0, kAny},
    {"datetime.timedelta", nullptr, 0, kAny},
    {"datetime.timezone", nullptr, 0, kAny},
    {"functools.partial", nullptr, 0, kAny},
    {"numpy.core.multiarray._reconstruct", object_of_class, 3, 3},  // BUILD brings the data
    {"numpy.core.multiarray.scalar", numpy_scalar, 1, 2},
    {"numpy.core.numeric._frombuffer", numpy_from_buffer, 4, 4},
    {"numpy.dtype", numpy_dtype, 1, 3},
    {"numpy.random._pickle.__bit_generator_ctor", nullptr, 0, kAny},
    {"numpy.random._pickle.__generator_ctor", nullptr, 0, kAny},
    {"numpy.random._pickle.__randomstate_ctor", nullptr, 0, kAny},
    {"torch.nested._internal.nested_tensor._rebuild_njt", nullptr, 0, kAny},
    {"types.SimpleNamespace", nullptr, 0, kAny},
};

// Python modules whose functions and classes run programs, reach into the interpreter or open connections. They contain
// no data types, so a file that names one is refused at once.
constexpr std::string_view kDangerous[] = {
    "_io",          "_posixsubprocess",
    "_pickle",      "asyncio",
    "bdb",          "cgi",
    "code",         "codeop",
    "commands",     "ctypes",
    "dbm",          "distutils",
    "dill",         "ftplib",
    "gc",           "http",
    "imp",          "importlib",
    "inspect",      "io",
    "joblib",       "marshal",
    "mmap",         "multiprocessing",
    "nt",           "operator",
    "os",           "pdb",
    "pickle",       "pip",
    "pkgutil",      "platform",
    "posix",        "profile",
    "pty",          "pydoc",
    "runpy",        "setuptools",
    "shelve",       "shutil",
    "signal",       "site",
    "smtplib",      "socket",
    "socketserver", "sqlite3",
    "ssl",          "subprocess",
    "sys",          "telnetlib",
    "tempfile",     "threading",
    "timeit",       "trace",
    "types",        "urllib",
    "venv",         "webbrowser",
    "xmlrpc",       "zipimport",
    "cloudpickle",  "_thread",
};

const Known* find_function(std::string_view name) {
  auto found =
      std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](auto& known) { return known.name == name; });
  return found == std::end(kFunctions) ? nullptr : found;
}

// Translates names of Python 2 and NumPy 2 into those of Python 3 and NumPy 1, as torch/_utils.py does, as far as data
// needs it.
std::string full_name(std::string_view module, std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kModules[] = {
      {"__builtin__", "builtins"},
      {"copy_reg", "copyreg"},
      {"numpy._core.multiarray", "numpy.core.multiarray"},
      {"numpy._core.numeric", "numpy.core.numeric"},
  };
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"long", "int"}, {"unicode", "str"}, {"xrange", "range"}};
  for (auto [old, current] : kTypes)
    if (module == "__builtin__" && name == old) name = current;
  for (auto [old, current] : kModules)
    if (module == old) module = current;
  return std::string(module) + "." + std::string(name);
}

template <class DTypes>
const DType* find_stem(const DTypes& dtypes, std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return nullptr;
  name.remove_suffix(suffix.size());
  for (const DType& dtype : dtypes)
    if (!dtype.stem.empty() && dtype.stem == name) return &dtype;
  return nullptr;
}

// torch.FloatStorage, torch.cuda.FloatTensor, torch.float32 and the like.
void look_up_type(Global& global) {
  std::string_view name = global.name;
  if (!name.starts_with("torch.")) return;
  auto is = [&](What what, const DType* dtype) {
    if (dtype == nullptr) return false;
    global.what = what;
    global.dtype = dtype->type;
    return true;
  };
  std::string_view last = name.substr(name.rfind('.') + 1), package = name.substr(0, name.size() - last.size());
  if (name == "torch.storage.UntypedStorage" || name == "torch.storage.TypedStorage") {
    global.what = What::Storage;
  } else if (name == "torch.nn.parameter.Parameter") {
    global.what = What::Parameter;
  } else if (name == "torch.Tensor") {
    global.what = What::TensorType;
    global.dtype = at::kFloat;
  } else if (package == "torch." || package == "torch.cuda.") {
    is(What::Storage, find_stem(kDTypes, last, "Storage")) ||
        is(What::Storage, find_stem(kQuantized, last, "Storage")) ||
        is(What::TensorType, find_stem(kDTypes, last, "Tensor")) ||
        (package == "torch." && is(What::DType, find_dtype(last)));
  } else if (package == "torch.sparse." || package == "torch.cuda.sparse.") {
    is(What::TensorType, find_stem(kDTypes, last, "Tensor"));
  }
}

bool is_constant(std::string_view name) {
  if (!name.starts_with("torch.")) return false;
  name.remove_prefix(6);
  return name.starts_with("per_tensor_") || name.starts_with("per_channel_") ||
         std::any_of(std::begin(kQuantized), std::end(kQuantized), [&](auto& dtype) { return dtype.name == name; });
}

// Returns whether a name is a class by Python's convention: it starts with a capital letter.
bool names_a_class(std::string_view name) {
  std::string_view last = name.substr(name.rfind('.') + 1);
  size_t letter = last.find_first_not_of('_');
  return letter != std::string_view::npos && std::isupper(static_cast<unsigned char>(last[letter]));
}

// _rebuild_from_type_v2(function, class, arguments, state): a tensor of a subclass, or one with attributes.
Value from_type(const Arguments& arguments, Arena& arena) {
  auto* global = arguments[0].as_opaque<Global>();
  const Known* known = global ? find_function(global->name) : nullptr;
  // Not this function itself, which would allow endless recursion.
  if (known == nullptr || known->function == nullptr || known->function == from_type) arguments.wrong();
  Value result = known->function(Arguments(known->name, arguments.list(2), known->least, known->most), arena);
  // A wrapper's attributes are the tensors that it consists of.
  if (known->function == rebuild_wrapper) result.as_dict().emplace_back("state", arguments[3]);
  return result;
}

Value tensor_type(const Global& global, const Value::List& values, Arena& arena) {
  Arguments arguments(global.name, values, 0, 3);
  if (arguments.size() == 0) return empty_tensor(*global.dtype, arena);
  if (global.name.find(".sparse.") == std::string::npos || arguments.size() != 3) arguments.wrong();
  return sparse_coo(arguments, arena);
}

Value parameter(const Global& global, const Value::List& values, Arena& arena) {
  Arguments arguments(global.name, values, 0, 2);
  if (arguments.size() == 0) return empty_tensor(at::kFloat, arena);
  arguments.tensor(0);
  return arguments[0];
}

}  // namespace

Value find_global(std::string_view module, std::string_view name, const Place& place, Budget& budget) {
  auto global = c10::make_intrusive<Global>();
  global->name = full_name(module, name);
  budget.charge(kObject + global->name.size());
  if (is_constant(global->name)) return Value(global->name);
  std::string_view root = module.substr(0, module.find('.'));
  bool is_dangerous = std::find(std::begin(kDangerous), std::end(kDangerous), root) != std::end(kDangerous);
  if (find_function(global->name) != nullptr) {
    global->what = What::Function;
  } else if (is_dangerous || (global->name.starts_with("builtins.") && !names_a_class(global->name))) {
    unsafe("names \"" + printable(std::string(module) + "." + std::string(name)) + "\"", place,
           "which lets a file run programs if Python loads it with weights_only=False");
  } else {
    look_up_type(*global);
  }
  return global;
}

Value call(const Value& callable, const Value::List& arguments, const Place& place, Arena& arena) {
  auto* global = callable.as_opaque<Global>();
  if (global == nullptr) {
    if (callable.as_opaque<Object>())
      unsafe("calls an object", place, "which would run code if Python loaded it with weights_only=False");
    corrupt("REDUCE target is not callable at byte " + std::to_string(place.offset) + " of " +
            std::string(place.pickle));
  }
  switch (global->what) {
    case What::Function: {
      const Known* known = find_function(global->name);
      Arguments checked(known->name, arguments, known->least, known->most);
      return known->function ? known->function(checked, arena) : new_object(callable, arena);
    }
    case What::TensorType: return tensor_type(*global, arguments, arena);
    case What::Parameter: return parameter(*global, arguments, arena);
    case What::Storage:
    case What::DType: corrupt("the pickle calls " + printable(global->name) + ", which is a type and not a function");
    case What::Unknown: break;
  }
  if (!names_a_class(global->name))
    unsafe("calls the function \"" + printable(global->name) + "\"", place,
           "which Python would execute if it loaded the file with weights_only=False");
  return new_object(callable, arena);
}

Value create(const Value& type, const Value::List& arguments, const Place& place, Arena& arena) {
  auto* global = type.as_opaque<Global>();
  // NEWOBJ only calls the class's __new__, so objects of any class can be skipped.
  if (global != nullptr && global->what == What::Unknown) return new_object(type, arena);
  return call(type, arguments, place, arena);
}

void set_state(const Value& target, const Value& state, const Place& place, Arena& arena) {
  if (auto* dtype = target.as_opaque<NumpyDType>()) return set_byte_order(*dtype, state);
  if (auto* object = target.as_opaque<Object>()) {
    if (object->type->name == "numpy.ndarray") object->items = numpy_array(state, arena);
    bool is_module = state.find("_parameters") != nullptr && state.find("_modules") != nullptr;
    object->is_module = object->is_module || is_module;
    return;
  }
  if (auto* tensor = target.as_opaque<TensorSpec>()) return set_tensor(*tensor, state);
  if (target.is_dict() || target.is_list()) return;  // skip attributes, such as a state_dict's `_metadata`
  corrupt("a value that has no attributes is given some at byte " + std::to_string(place.offset) + " of " +
          std::string(place.pickle));
}

Value make_bytes(std::string_view bytes, Budget& budget) {
  budget.charge(kObject + bytes.size());
  at::Tensor data = at::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(data.data_ptr()));
  return Value(Value::Bytes{std::move(data)});
}

}  // namespace visiontorch::checkpoint
