#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <unordered_map>

#include "checkpoint/bytes.h"
#include "checkpoint/containers.h"
#include "checkpoint/globals.h"
#include "checkpoint/unpickler.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

constexpr uint64_t kBlock = 512;
constexpr size_t kMaxMembers = 16;
constexpr size_t kMaxDigits = 20;  // of a key
// The memory that a storage, a view or a tensor takes.
constexpr uint64_t kObject = 384;

uint64_t octal(std::string_view field) {
  uint64_t number = 0;
  size_t at = field.find_first_not_of(' ');
  for (; at < field.size() && field[at] >= '0' && field[at] <= '7'; at++) number = number * 8 + (field[at] - '0');
  if (at < field.size() && field[at] != '\0' && field[at] != ' ') corrupt("a number in a tar header is malformed");
  return number;
}

bool has_sound_checksum(std::string_view header) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; i++) sum += i >= 148 && i < 156 ? ' ' : static_cast<uint8_t>(header[i]);
  return sum == octal(header.substr(148, 8));
}

// PAX headers (Python 3 writes one for a fractional time) must not change a member's meaning.
void check_pax(std::string_view body) {
  ByteReader in(body, "a PAX header of the tar file");
  while (in.remaining() > 0) {
    std::string_view line = in.line(kBlock);  // "<length> <key>=<value>"
    std::string_view key = line.substr(std::min(line.find(' ') + 1, line.size()));
    key = key.substr(0, key.find('='));
    if (key == "path" || key == "linkpath" || key == "size" || key.starts_with("GNU."))
      corrupt("a PAX header of the tar file changes a member's " + printable(key));
  }
}

struct Member {
  uint64_t begin, end;
};

void check_padding(const InputFile& file, uint64_t offset) {
  constexpr uint64_t kStep = 64 << 10;
  for (; offset < file.size(); offset += kStep) {
    if (file.read(offset, std::min(kStep, file.size() - offset)).find_first_not_of('\0') != std::string::npos)
      corrupt("the tar file has bytes after its end");
  }
}

std::map<std::string, Member, std::less<>> read_members(const InputFile& file) {
  std::map<std::string, Member, std::less<>> members;
  ByteReader in(file, 0, file.size(), "the tar file");
  size_t count = 0;
  while (true) {
    std::string_view header = in.take(kBlock);
    if (header.find_first_not_of('\0') == std::string_view::npos) break;
    if (header.substr(257, 5) != "ustar" || !has_sound_checksum(header)) corrupt("a header of the tar file is damaged");
    if (++count > kMaxMembers) corrupt("the tar file has more members than PyTorch writes");
    std::string name(header.substr(0, std::min(header.substr(0, 100).find('\0'), size_t{100})));
    char type = header[156];
    uint64_t size = octal(header.substr(124, 12));
    if (type == 'x' || type == 'g') {
      check_pax(in.take(size));
      in.skip((kBlock - size % kBlock) % kBlock);
      continue;
    }
    Member member{in.offset(), in.offset() + size};
    in.skip(size);
    in.skip((kBlock - size % kBlock) % kBlock);
    if (type != '0' && type != '\0') corrupt("member " + in_quotes(name) + " of the tar file is not a regular file");
    if (!members.emplace(name, member).second) corrupt("the tar file has two members named " + in_quotes(name));
  }
  check_padding(file, in.offset());
  return members;
}

class TarReader {
 public:
  TarReader(const InputFile& file, Storages& storages, Arena& arena)
      : file_(file), members_(read_members(file)), storages_(storages), arena_(arena) {}

  Value read() {
    ByteReader info = member("sys_info");
    if (!load(info).is_dict()) corrupt("the file does not describe the system that wrote it");
    read_storages();
    read_tensors();
    ByteReader in = member("pickle");
    Value root = Unpickler(in, arena_, [this](const Value& id) { return persistent_load(id); }).load();
    finish(in);
    return root;
  }

 private:
  using Objects = std::unordered_map<int64_t, c10::intrusive_ptr<StorageRef>>;

  ByteReader member(const std::string& name) const {
    auto found = members_.find(name);
    if (found == members_.end())
      corrupt("the tar file has no member " + in_quotes(name) + ": PyTorch did not write it");
    return ByteReader(file_, found->second.begin, found->second.end, "member '" + name + "'");
  }

  Value load(ByteReader& in) { return Unpickler(in, arena_).load(); }

  static void finish(const ByteReader& in) {
    if (in.remaining() > 0) corrupt(in.what() + " has bytes after its end");
  }

  int64_t load_count(ByteReader& in) {
    Value count = load(in);
    if (count.kind() != Value::Kind::Int || count.as_int() < 0) corrupt(in.what() + " does not begin with a count");
    return count.as_int();
  }

  // Returns a tuple of ints, except for the indices in `other`, which may have any type.
  static const Value::List& ints(const Value& tuple, size_t length, const ByteReader& in,
                                 std::initializer_list<size_t> other = {}) {
    bool sound = tuple.is_list() && tuple.as_list().size() == length;
    for (size_t i = 0; sound && i < length; i++) {
      bool is_other = std::find(other.begin(), other.end(), i) != other.end();
      sound = is_other || tuple.as_list()[i].kind() == Value::Kind::Int;
    }
    if (!sound) corrupt("an entry of " + in.what() + " is malformed");
    return tuple.as_list();
  }

  void read_storages() {
    ByteReader in = member("storages");
    const uint64_t begin = members_.find("storages")->second.begin;
    for (int64_t left = load_count(in); left > 0; left--) {
      Value entry = load(in);
      const Value::List& fields = ints(entry, 3, in, {1, 2});  // (key, location, type)
      auto* type = fields[2].as_opaque<Global>();
      if (type == nullptr || type->what != Global::What::Storage || !type->dtype)
        corrupt("a storage has no known type");
      int64_t key = fields[0].as_int();
      if (by_key_.contains(key)) corrupt("storage " + std::to_string(key) + " occurs twice in the tar file");
      arena_.budget().charge(kObject);
      auto storage = storages_.refer(std::to_string(key), type->dtype, in.number<int64_t>());
      storages_.locate(storage->index, begin + in.offset());
      in.skip(static_cast<uint64_t>(storages_.nbytes(storage->index)));
      arena_.budget().allow_storages(1);
      by_key_.emplace(key, std::move(storage));
    }
    Value views = load(in);
    if (!views.is_list()) corrupt("the tar file's storage views are malformed");
    for (const Value& view : views.as_list()) {
      const Value::List& fields = ints(view, 4, in);  // (target, root, offset, numel)
      auto root = by_key_.find(fields[1].as_int());
      if (root == by_key_.end()) corrupt("a storage view has no storage");
      arena_.budget().charge(kObject);
      auto window = Storages::window(*root->second, fields[2].as_int(), fields[3].as_int());
      if (!by_key_.emplace(fields[0].as_int(), std::move(window)).second) corrupt("a storage view is named twice");
    }
    finish(in);
  }

  void read_tensors() {
    ByteReader in = member("tensors");
    for (int64_t left = load_count(in); left > 0; left--) {
      Value entry = load(in);
      const Value::List& fields = ints(entry, 3, in, {2});  // (key, storage, type)
      auto storage = by_key_.find(fields[1].as_int());
      auto* type = fields[2].as_opaque<Global>();
      if (storage == by_key_.end()) corrupt("a tensor has no storage");
      if (type == nullptr || type->what != Global::What::TensorType) corrupt("a tensor has no known type");
      int32_t dimensions = in.number<int32_t>();
      in.take(4);  // padding: older files wrote the number in 8 bytes
      if (dimensions < 0 || dimensions > 64) corrupt("a tensor has " + std::to_string(dimensions) + " dimensions");
      std::vector<int64_t> sizes(static_cast<size_t>(dimensions)), strides(sizes.size());
      for (int64_t& size : sizes) size = in.number<int64_t>();
      for (int64_t& stride : strides) stride = in.number<int64_t>();
      int64_t offset = in.number<int64_t>();
      arena_.budget().charge(kObject + 16 * sizes.size());
      auto tensor = Storages::tensor(*storage->second, *type->dtype, offset, std::move(sizes), std::move(strides));
      if (!tensors_.emplace(fields[0].as_int(), std::move(tensor)).second) corrupt("a tensor is named twice");
    }
    finish(in);
  }

  // int(id) names a tensor.
  Value persistent_load(const Value& id) {
    if (const Value* type = referenced_class(id)) return *type;
    int64_t key = 0;
    bool is_number = id.kind() == Value::Kind::Int;
    if (is_number) key = id.as_int();
    if (id.kind() == Value::Kind::String && id.as_string().size() <= kMaxDigits) {
      const std::string& text = id.as_string();
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), key);
      is_number = error == std::errc() && end == text.data() + text.size();
    }
    if (!is_number) corrupt("the pickle refers to a tensor in an unknown way");
    auto found = tensors_.find(key);
    if (found == tensors_.end()) corrupt("the pickle refers to a tensor that is not in the file");
    return Value(found->second);
  }

  const InputFile& file_;
  std::map<std::string, Member, std::less<>> members_;
  Storages& storages_;
  Arena& arena_;
  Objects by_key_;
  std::unordered_map<int64_t, c10::intrusive_ptr<TensorSpec>> tensors_;
};

}  // namespace

bool is_tar(std::string_view head) {
  return head.size() >= kBlock && head.substr(257, 5) == "ustar" && has_sound_checksum(head.substr(0, kBlock));
}

Value read_tar(const InputFile& file, Storages& storages, Arena& arena) {
  return TarReader(file, storages, arena).read();
}

}  // namespace visiontorch::checkpoint
