#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "checkpoint/bytes.h"
#include "checkpoint/containers.h"
#include "checkpoint/crc32.h"
#include "checkpoint/globals.h"
#include "checkpoint/unpickler.h"
#include "checkpoint/zip_directory.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

// Checking more than this by default would take longer than loading the file.
constexpr size_t kAlwaysVerified = 64 << 10;
constexpr int kOldestVersion = 1, kNewestVersion = 10;  // caffe2/serialize/versions.h of LibTorch 2.13

class Archive {
 public:
  Archive(const InputFile& file, Budget& budget) : file_(file), records_(read_zip_directory(file, budget)) {
    const std::string& first = records_.front().name;
    size_t slash = first.find('/');
    if (slash == std::string::npos) corrupt("the zip file's records are in no folder: PyTorch did not write it");
    const std::string root = first.substr(0, slash + 1);
    for (ZipRecord& record : records_) {
      if (!record.name.starts_with(root)) corrupt("the zip file's records are in different folders");
      record.name.erase(0, root.size());
    }
    std::sort(records_.begin(), records_.end(), [](auto& a, auto& b) { return a.name < b.name; });
    check_kind();
    budget.allow_storages(static_cast<uint64_t>(std::count_if(
        records_.begin(), records_.end(), [](auto& record) { return record.name.starts_with("data/"); })));
    for (const ZipRecord& record : records_)
      if (record.is_compressed)
        corrupt("record " + in_quotes(record.name) + " is compressed, but PyTorch stores records uncompressed");
  }

  const ZipRecord* find(std::string_view name) const {
    auto found = std::lower_bound(records_.begin(), records_.end(), name,
                                  [](const ZipRecord& record, std::string_view name) { return record.name < name; });
    return found == records_.end() || found->name != name ? nullptr : &*found;
  }

  ByteReader pickle() const {
    const ZipRecord* record = find("data.pkl");
    return ByteReader(file_, record->offset, record->offset + record->size, "data.pkl");
  }

  void check_version() const {
    const ZipRecord* record = find("version");
    if (record == nullptr) record = find(".data/version");
    if (record == nullptr) corrupt("the zip file has no record 'version'");
    std::string text = read_small(*record);
    if (text.ends_with('\n')) text.pop_back();
    int version = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc() || end != text.data() + text.size() || version < kOldestVersion ||
        version > kNewestVersion) {
      corrupt("the zip file's version is " + in_quotes(text) + ", expected " + std::to_string(kOldestVersion) + " to " +
              std::to_string(kNewestVersion));
    }
  }

  bool is_big_endian() const {
    const ZipRecord* record = find("byteorder");
    if (record == nullptr) return false;
    std::string order = read_small(*record);
    if (order == "little") return false;
    if (order != "big") corrupt("the zip file's byte order is neither little nor big");
    return true;
  }

  void check_sums(bool all) const {
    for (const ZipRecord& record : records_) {
      bool is_data = record.name.starts_with("data/") && record.size > kAlwaysVerified;
      if ((all || !is_data) && sum(record) != record.crc)
        corrupt("the checksum of record " + in_quotes(record.name) + " does not match its bytes");
    }
  }

  void locate(Storages& storages) const {
    const bool big_endian = is_big_endian();
    for (size_t i = 0; i < storages.size(); i++) {
      const ZipRecord* record = find("data/" + storages.key(i));
      if (record == nullptr) corrupt("the zip file has no record " + in_quotes("data/" + storages.key(i)));
      if (record->size != static_cast<uint64_t>(storages.nbytes(i))) {
        corrupt("record " + in_quotes("data/" + storages.key(i)) + " has " + std::to_string(record->size) +
                " bytes, but its tensors need " + std::to_string(storages.nbytes(i)));
      }
      storages.locate(i, record->offset, big_endian);
    }
  }

 private:
  void check_kind() const {
    if (find("constants.pkl") || find("model.json")) {
      throw Error("ERR_CHECKPOINT_UNSUPPORTED",
                  "this is a TorchScript archive: a program with its weights. In Python, save the weights alone: "
                  "torch.save(torch.jit.load(path).state_dict(), path)");
    }
    if (!find("data.pkl")) corrupt("the zip file has no data.pkl: torch.save did not write it");
  }

  // Returns the first bytes of a record that contains a single word.
  std::string read_small(const ZipRecord& record) const {
    return file_.read(record.offset, std::min<uint64_t>(record.size, 20));
  }

  uint32_t sum(const ZipRecord& record) const {
    constexpr uint64_t kStep = 1 << 20;
    uint32_t crc = 0;
    for (uint64_t done = 0; done < record.size; done += kStep)
      crc = crc32(file_.read(record.offset + done, std::min(kStep, record.size - done)), crc);
    return crc;
  }

  const InputFile& file_;
  std::vector<ZipRecord> records_;  // by name, without the folder
};

}  // namespace

c10::intrusive_ptr<StorageRef> refer_to_storage(Storages& storages, const Value& id, size_t length) {
  if (id.kind() != Value::Kind::Tuple || id.as_list().empty() || id.as_list()[0].kind() != Value::Kind::String)
    corrupt("the pickle refers to data in an unknown way");
  const Value::List& parts = id.as_list();
  auto* type = parts.size() == length ? parts[1].as_opaque<Global>() : nullptr;
  if (parts[0].as_string() != "storage" || type == nullptr || type->what != Global::What::Storage ||
      parts[2].kind() != Value::Kind::String || parts[3].kind() != Value::Kind::String ||
      parts[4].kind() != Value::Kind::Int)
    corrupt("the pickle refers to a storage in an unknown way");
  return storages.refer(parts[2].as_string(), type->dtype, parts[4].as_int());
}

const Value* referenced_class(const Value& id) {
  if (id.kind() != Value::Kind::Tuple || id.as_list().size() != 4) return nullptr;
  const Value::List& parts = id.as_list();
  bool is_module = parts[0].kind() == Value::Kind::String && parts[0].as_string() == "module";
  return is_module && parts[1].as_opaque<Global>() ? &parts[1] : nullptr;
}

Value read_zip(const InputFile& file, bool verify, Storages& storages, Arena& arena) {
  Archive archive(file, arena.budget());
  archive.check_version();
  archive.check_sums(verify);
  ByteReader in = archive.pickle();
  Unpickler unpickler(in, arena, [&](const Value& id) { return Value(refer_to_storage(storages, id, 5)); });
  Value root = unpickler.load();
  if (in.remaining() > 0) corrupt("data.pkl has bytes after its pickle");
  archive.locate(storages);
  return root;
}

}  // namespace visiontorch::checkpoint
