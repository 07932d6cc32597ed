#include "checkpoint/formats.h"

#include <algorithm>
#include <cctype>

#include "checkpoint/bytes.h"
#include "checkpoint/content.h"
#include "checkpoint/globals.h"
#include "checkpoint/unpickler.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

[[noreturn]] void unsupported(const std::string& what) { throw Error("ERR_CHECKPOINT_UNSUPPORTED", what); }

constexpr uint64_t kHead = 512, kTail = 16;

struct Format {
  size_t offset;
  std::string_view magic;
  const char* message;
};

constexpr std::string_view operator""_bytes(const char* text, size_t length) { return {text, length}; }

constexpr Format kFormats[] = {
    {0, "\x1F\x8B"_bytes, "this is a gzip file. Unpack it first, for example with gunzip or tar -xzf"},
    {0, "BZh"_bytes, "this is a bzip2 file. Unpack it first, for example with bunzip2"},
    {0,
     "\xFD"
     "7zXZ\0"_bytes,
     "this is an xz file. Unpack it first, for example with unxz"},
    {0, "\x28\xB5\x2F\xFD"_bytes, "this is a Zstandard file. Unpack it first, for example with unzstd"},
    {0, "7z\xBC\xAF\x27\x1C"_bytes, "this is a 7z archive. Unpack it first"},
    {0, "Rar!\x1A"_bytes, "this is a RAR archive. Unpack it first"},
    {0, "PK\x05\x06"_bytes, "this is an empty zip file. Save the checkpoint again"},
    {0, "\x89HDF\r\n\x1A\n"_bytes,
     "this is an HDF5 file, probably of Keras or TensorFlow. Weights of torchvision's networks come from torch.save "
     "or from visiontorch"},
    {4, "TFL3"_bytes,
     "this is a TensorFlow Lite model. Weights of torchvision's networks come from torch.save or "
     "from visiontorch"},
    {0, "GGUF"_bytes,
     "this is a GGUF file of a language model. Weights of torchvision's networks come from torch.save "
     "or from visiontorch"},
    {0, "\x93NUMPY"_bytes,
     "this is a NumPy array. In Python: torch.save(torch.from_numpy(numpy.load(path)), new_path)"},
    {0, "\xFF\xD8\xFF"_bytes, "this is a JPEG image, not a checkpoint"},
    {0, "\x89PNG\r\n"_bytes, "this is a PNG image, not a checkpoint"},
    {0, "%PDF"_bytes, "this is a PDF document, not a checkpoint"},
    {0, "version https://git-lfs"_bytes, "this is a Git LFS pointer, not the file itself. Run: git lfs pull"},
};

// Protocol buffers begin with their first fields: ir_version and a string or the graph in ONNX's ModelProto,
// saved_model_schema_version and a MetaGraphDef in TensorFlow's SavedModel, a NodeDef in its GraphDef.
bool is_onnx(std::string_view head) {
  return head.size() > 4 && head[0] == 0x08 && head[1] >= 3 && head[1] < 32 &&
         std::string_view("\x12\x1A\x22\x28\x32\x3A\x42").find(head[2]) != std::string_view::npos;
}
bool is_tensorflow(std::string_view head, std::string_view tail) {
  constexpr std::string_view kTableMagic = "\x57\xFB\x80\x8B\x24\x75\x47\xDB"_bytes;  // the index of a checkpoint
  auto holds = [&](std::string_view text) { return head.find(text) != std::string_view::npos; };
  bool is_graph = head.starts_with('\x0A') && (holds("Placeholder") || holds("\x12\x05"
                                                                             "Const"));
  return head.starts_with("\x08\x01\x12") || tail.ends_with(kTableMagic) || is_graph;
}

bool is_text(std::string_view begin) {
  return std::all_of(begin.begin(), begin.end(),
                     [](char c) { return (c >= ' ' && c < 0x7F) || c == '\n' || c == '\r' || c == '\t'; });
}

// Files of pickle.dump(model) and the like. Protocols 2 to 5 start with their number; older ones with their first
// value.
bool is_pickle(std::string_view head, std::string_view tail) {
  return head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5 && tail.ends_with('.');
}

// Returns the class of a pickled object, or nothing for plain values and unreadable files.
std::string class_in(const InputFile& file) {
  try {
    Budget budget(file.size());
    Arena arena(budget);
    ByteReader in(file, 0, file.size(), "the file");
    Value root = Unpickler(in, arena, [](const Value&) { return Value(); }).load();
    if (auto* object = root.as_opaque<Object>()) return object->type->name;
  } catch (const Error&) {
  }
  return {};
}

}  // namespace

void refuse_foreign_format(const InputFile& file, const std::string& path) {
  const std::string begin = path + ": ";
  const std::string head = file.read(0, std::min<uint64_t>(kHead, file.size()));
  const std::string tail =
      file.read(file.size() - std::min<uint64_t>(kTail, file.size()), std::min<uint64_t>(kTail, file.size()));
  if (head.empty()) corrupt(begin + "the file is empty. Download or save it again");
  for (const auto& [offset, magic, message] : kFormats)
    if (head.size() > offset && std::string_view(head).substr(offset).starts_with(magic)) unsupported(begin + message);
  if (is_pickle(head, tail)) {
    const std::string type = class_in(file);
    unsupported(begin + "this is a bare pickle of " +
                (type.empty() ? "Python's pickle.dump" : "a model or another object (" + printable(type) + ")") +
                ", not a file of torch.save. In Python, where its classes can be imported: import pickle, torch; value "
                "= pickle.load(open(path, 'rb')); torch.save(" +
                (type.empty() ? "value" : "value.state_dict()") + ", 'model.pth')");
  }
  if (is_onnx(head))
    unsupported(begin +
                "this is an ONNX model, whose weights cannot be read. Save the PyTorch model that it was "
                "exported from: torch.save(model.state_dict(), 'model.pth')");
  if (is_tensorflow(head, tail))
    unsupported(begin +
                "this is a TensorFlow model. Weights of torchvision's networks come from torch.save or from "
                "visiontorch");
  size_t text = head.find_first_not_of(" \t\r\n");
  if (text != std::string::npos && head[text] == '<')
    corrupt(begin + "this is a web page, not a checkpoint. Download the file again, by the address of the file itself");
  if (is_text(head))
    corrupt(begin + "this is a text file that begins with " + in_quotes(head.substr(0, 60)) +
            "; expected a .pth file of PyTorch or a safetensors file. Check the path");
  corrupt(begin +
          "expected a .pth file of PyTorch (zip, legacy or tar) or a safetensors file, but the first bytes belong to "
          "none of them. Download or save it again");
}

void ForeignZip::add(std::string_view given) {
  std::string name(given);  // in lower case
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  auto ends_with = [&](std::initializer_list<std::string_view> suffixes) {
    return std::any_of(suffixes.begin(), suffixes.end(), [&](auto suffix) { return name.ends_with(suffix); });
  };
  if (count_++ == 0) first_ = given;
  if (name == "data.pkl" || ends_with({"/data.pkl", "/model.json"})) is_torch_ = true;
  if (ends_with({".pth", ".pt", ".ckpt", ".th", ".pth.tar"})) checkpoint_ = given;
  if (name.ends_with(".npy")) format_ = "a NumPy archive (.npz)";
  if (name.ends_with(".weights.h5")) format_ = "a Keras model";
}

void ForeignZip::refuse() const {
  if (count_ == 0 || is_torch_) return;
  if (!checkpoint_.empty())
    unsupported("this is a zip archive that contains " + in_quotes(checkpoint_) + ". Unpack it first: unzip FILE");
  if (format_ != nullptr)
    unsupported("this is " + std::string(format_) +
                ", not a file of torch.save. In Python, load it and save what you need: torch.save(value, new_path)");
  unsupported("this is a zip archive without data.pkl, so torch.save did not write it. Its " + std::to_string(count_) +
              " files begin with " + in_quotes(first_) + ". If a checkpoint is among them, unpack it first");
}

void require_weights(const Value& content) {
  bool has_tensors = false;
  std::string name, type;
  for_each_item(content, [&](const Item& item) {
    has_tensors = has_tensors || item.tensor != nullptr;
    if (item.is_module && type.empty()) {
      name = item.name;
      type = item.type;
    }
  });
  if (has_tensors || (type.empty() && content.as_opaque<Object>() == nullptr)) return;
  auto* object = content.as_opaque<Object>();
  if (type.empty())
    unsupported("the file holds an object of the class " + in_quotes(object->type->name) +
                " and no tensors. In Python, save plain values and tensors only: torch.save(model.state_dict(), path)");
  unsupported("the file holds a whole model" + (name.empty() ? "" : " under " + in_quotes(name)) + " (" +
              printable(type) +
              ") and not only its weights. In Python, where its class can be imported: model = torch.load(path, "
              "weights_only=False)" +
              (name.empty() ? "" : "['" + printable(name) + "']") + "; torch.save(model.state_dict(), 'weights.pth')");
}

}  // namespace visiontorch::checkpoint
