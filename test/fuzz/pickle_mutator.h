#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Mutates a pickle an opcode at a time, so that most mutants are still pickles.
namespace fuzz {

using Opcodes = std::vector<std::string>;

// Returns the number of bytes of an opcode's argument. The formats are those of Python's pickletools.
inline size_t argument_length(char opcode, std::string_view rest) {
  auto counted = [&](size_t width) {
    if (rest.size() < width) return rest.size();
    uint64_t count = 0;
    for (size_t i = 0; i < std::min<size_t>(width, 4); i++) count |= uint64_t{static_cast<uint8_t>(rest[i])} << 8 * i;
    return std::min<size_t>(rest.size(), width + count);
  };
  auto lines = [&](int count) {
    size_t end = 0;
    for (; count > 0 && end < rest.size(); count--) {
      const size_t newline = rest.find('\n', end);
      end = newline == std::string_view::npos ? rest.size() : newline + 1;
    }
    return end;
  };
  switch (opcode) {
    case 'K':
    case 'h':
    case 'q':
    case '\x80': return 1;  // BININT1 BINGET BINPUT PROTO
    case 'M': return 2;     // BININT2
    case 'J':
    case 'j':
    case 'r': return 4;  // BININT LONG_BINGET LONG_BINPUT
    case 'G':
    case '\x95': return 8;  // BINFLOAT FRAME
    case 'U':
    case 'C':
    case '\x8c':
    case '\x8a': return counted(1);  // short strings and bytes, LONG1
    case 'T':
    case 'X':
    case 'B':
    case '\x8b': return counted(4);  // strings and bytes, LONG4
    case '\x8d':
    case '\x8e':
    case '\x96': return counted(8);  // the same with 8 bytes of length
    case 'I':
    case 'L':
    case 'F':
    case 'S':
    case 'V':
    case 'P':
    case 'g':
    case 'p': return lines(1);
    case 'c':
    case 'i': return lines(2);  // GLOBAL INST
    default: return 0;
  }
}

inline Opcodes split(std::string_view pickle) {
  Opcodes opcodes;
  while (!pickle.empty()) {
    const size_t length = std::min(pickle.size(), 1 + argument_length(pickle[0], pickle.substr(1)));
    opcodes.emplace_back(pickle.substr(0, length));
    pickle.remove_prefix(length);
  }
  return opcodes;
}

inline std::string text(std::string_view value) {
  const auto size = static_cast<uint32_t>(value.size());
  return "X" + std::string(reinterpret_cast<const char*>(&size), 4) + std::string(value);
}

// Building blocks of mutants: single opcodes, and sequences that torch.save writes.
inline const Opcodes& vocabulary() {
  static const Opcodes words = [] {
    Opcodes list;
    for (char opcode : std::string_view("(.012NRQabdegelotu)]}\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94"))
      list.emplace_back(1, opcode);
    for (uint8_t value : {0, 1, 2, 4, 16, 64, 255}) list.push_back(std::string("K") + static_cast<char>(value));
    for (const char* number : {"J\xff\xff\xff\xff", "J\xff\xff\xff\x7f"}) list.emplace_back(number);
    list.push_back(std::string("\x8a\x08\0\0\0\0\0\0\0\x80", 10));
    list.push_back(std::string("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10));
    for (uint8_t key : {0, 1, 2, 3})
      for (char opcode : {'h', 'q'}) list.push_back(std::string(1, opcode) + static_cast<char>(key));
    for (const char* global : {"collections\nOrderedDict",
                               "collections\nCounter",
                               "collections\ndefaultdict",
                               "torch._utils\n_rebuild_tensor_v2",
                               "torch._utils\n_rebuild_tensor_v3",
                               "torch._utils\n_rebuild_parameter",
                               "torch._utils\n_rebuild_parameter_with_state",
                               "torch._utils\n_rebuild_qtensor",
                               "torch._utils\n_rebuild_sparse_tensor",
                               "torch._utils\n_rebuild_meta_tensor_no_storage",
                               "torch._utils\n_rebuild_nested_tensor",
                               "torch._utils\n_rebuild_wrapper_subclass",
                               "torch._utils\n_rebuild_device_tensor_from_numpy",
                               "torch._tensor\n_rebuild_from_type_v2",
                               "torch\nFloatStorage",
                               "torch\nHalfStorage",
                               "torch\nLongStorage",
                               "torch.storage\nUntypedStorage",
                               "torch\nSize",
                               "torch\ndevice",
                               "torch\nfloat32",
                               "torch\ncomplex64",
                               "torch\nper_tensor_affine",
                               "torch.nn.parameter\nParameter",
                               "torch.serialization\n_get_layout",
                               "builtins\nset",
                               "builtins\nbytearray",
                               "builtins\ncomplex",
                               "_codecs\nencode",
                               "numpy._core.multiarray\nscalar",
                               "numpy.core.multiarray\n_reconstruct",
                               "numpy\ndtype",
                               "numpy\nndarray",
                               "argparse\nNamespace",
                               "copyreg\n_reconstructor",
                               "os\nsystem"})
      list.push_back("c" + std::string(global) + "\n");
    for (const char* word :
         {"storage", "0", "1", "cpu", "state_dict", "module.features.0.0.weight", "features.0.0.weight",
          "features.0.1.running_var", "classifier.1.weight", "classifier.1.bias", "model", "latin1", "f8",
          "architecture", "total_ops", "num_batches_tracked"})
      list.push_back(text(word));
    // A storage, by its persistent id, and a tensor of four numbers.
    const std::string storage = "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K\x10tQ";
    list.push_back(storage);
    list.push_back("ctorch._utils\n_rebuild_tensor_v2\n(" + storage + std::string("K\0K\x04\x85K\x01\x85\x89", 9) +
                   "ccollections\nOrderedDict\n)RtR");
    return list;
  }();
  return words;
}

inline size_t mutate_pickle(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  auto below = [&](size_t limit) { return limit == 0 ? 0 : random() % limit; };
  Opcodes opcodes = split({reinterpret_cast<const char*>(data), size});
  const size_t changes = 1 + below(4);
  for (size_t change = 0; change < changes; change++) {
    const size_t at = below(opcodes.size() + 1), from = below(opcodes.size());
    const auto place = opcodes.begin() + static_cast<ptrdiff_t>(at);
    const size_t count = std::min(1 + below(8), opcodes.size() - from);
    const Opcodes range(opcodes.begin() + static_cast<ptrdiff_t>(from),
                        opcodes.begin() + static_cast<ptrdiff_t>(from + count));
    switch (below(6)) {
      case 0: opcodes.insert(place, vocabulary()[below(vocabulary().size())]); break;
      case 1:
        if (at < opcodes.size()) opcodes[at] = vocabulary()[below(vocabulary().size())];
        break;
      case 2: opcodes.insert(place, range.begin(), range.end()); break;  // a copy elsewhere
      case 3:
        opcodes.erase(opcodes.begin() + static_cast<ptrdiff_t>(from),
                      opcodes.begin() + static_cast<ptrdiff_t>(from + count));
        break;
      case 4:
        if (at < opcodes.size() && from < opcodes.size()) std::swap(opcodes[at], opcodes[from]);
        break;
      case 5:  // the bytes of an argument
        if (at < opcodes.size() && opcodes[at].size() > 1) {
          std::string& opcode = opcodes[at];
          const size_t length = opcode.size();
          opcode.resize(length + 16);
          opcode.resize(1 + LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(opcode.data()) + 1, length - 1, length + 15));
        }
        break;
    }
  }
  std::string result;
  for (const std::string& opcode : opcodes) {
    if (result.size() + opcode.size() > max_size) break;
    result += opcode;
  }
  if (result.empty()) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, result.data(), result.size());
  return result.size();
}

}  // namespace fuzz
