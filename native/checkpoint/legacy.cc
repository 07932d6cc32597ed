#include <algorithm>

#include "checkpoint/bytes.h"
#include "checkpoint/containers.h"
#include "checkpoint/pickler.h"
#include "checkpoint/unpickler.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

constexpr std::string_view kMagic = "\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19";  // little-endian
constexpr int64_t kProtocol = 1001;
constexpr size_t kLongestMagic = 64;  // its pickle, in any protocol

Value persistent_load(Storages& storages, const Value& id, Budget& budget) {
  if (const Value* type = referenced_class(id)) return *type;
  size_t before = storages.size();
  auto root = refer_to_storage(storages, id, 6);
  budget.allow_storages(storages.size() - before);
  const Value& view = id.as_list()[5];
  if (view.kind() == Value::Kind::None) return root;
  // (view_key, offset, size)
  bool is_view = view.is_list() && view.as_list().size() == 3 && view.as_list()[1].kind() == Value::Kind::Int &&
                 view.as_list()[2].kind() == Value::Kind::Int;
  if (!is_view) corrupt("the pickle names a storage view in an unknown way");
  return Storages::window(*root, view.as_list()[1].as_int(), view.as_list()[2].as_int());
}

}  // namespace

bool is_legacy(std::string_view head) {
  try {
    Budget budget(0);
    Arena arena(budget);
    ByteReader in(head.substr(0, kLongestMagic), "the magic number");
    Value magic = Unpickler(in, arena).load();
    return magic.kind() == Value::Kind::BigInt && magic.as_big_int() == kMagic;
  } catch (const Error&) {
    return false;
  }
}

Value read_legacy(const InputFile& file, Storages& storages, Arena& arena) {
  ByteReader in(file, 0, file.size(), "the file");
  auto load = [&](Unpickler::PersistentLoad load = nullptr) { return Unpickler(in, arena, std::move(load)).load(); };
  load();  // the magic number
  Value protocol = load();
  if (protocol.kind() != Value::Kind::Int || protocol.as_int() != kProtocol)
    corrupt("the file's protocol is not " + std::to_string(kProtocol));
  if (!load().is_dict()) corrupt("the file does not describe the system that wrote it");
  Value root = load([&](const Value& id) { return persistent_load(storages, id, arena.budget()); });

  Value keys = load();
  if (!keys.is_list() || keys.as_list().size() != storages.size())
    corrupt("the file's list of storages differs from the storages that its tensors use");
  for (const Value& key : keys.as_list()) {
    auto index = key.kind() == Value::Kind::String ? storages.find(key.as_string()) : std::nullopt;
    if (!index) corrupt("the file lists a storage that no tensor uses");
    if (in.number<int64_t>() != storages.numel(*index))
      corrupt("storage " + in_quotes(storages.key(*index)) +
              " does not have the number of elements that its tensors say");
    storages.locate(*index, in.offset());
    in.skip(static_cast<uint64_t>(storages.nbytes(*index)));
  }
  if (in.remaining() > 0) corrupt("the file has bytes after its last storage");
  return root;
}

void write_legacy(const Descriptor& file, const Value& value) {
  auto pickled = [](const Value& plain) { return Pickler(Pickler::Dialect::Legacy).pickle(plain); };
  const Value sizes = Value::dict({{"short", int64_t{2}}, {"int", int64_t{4}}, {"long", int64_t{4}}});
  const Value system = Value::dict({{"protocol_version", kProtocol}, {"little_endian", true}, {"type_sizes", sizes}});
  Pickler pickler(Pickler::Dialect::Legacy);
  const std::string content = pickler.pickle(value);
  Value::List keys;
  for (size_t i = 0; i < pickler.storages().size(); i++) keys.emplace_back(std::to_string(i));
  const std::string head = pickled(Value::big_int(std::string(kMagic))) + pickled(kProtocol) + pickled(system) +
                           content + pickled(Value::list(std::move(keys)));
  Output output(file);
  output.write(head.data(), head.size());
  for (const at::Tensor& tensor : pickler.storages()) {
    output.check();
    const int64_t numel = static_cast<int64_t>(tensor.storage().nbytes()) / Pickler::counted_size(tensor);
    output.write(&numel, sizeof(numel));
    output.write(tensor.storage().data(), static_cast<size_t>(numel * Pickler::counted_size(tensor)));
  }
  output.check();
}

}  // namespace visiontorch::checkpoint
