#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/input_file.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// A storage as a pickle names it, or a window of one: `begin` and `numel` count elements.
struct StorageRef : Value::Opaque {
  size_t index;
  std::optional<at::ScalarType> dtype;  // none: an untyped storage, whose elements are bytes
  int64_t begin;
  int64_t numel;
};

// A tensor whose place in its storage was checked, and whose data is not read yet.
struct TensorSpec : Value::Opaque {
  size_t storage;
  at::ScalarType dtype;
  int64_t offset;  // in elements, from the start of the storage
  std::vector<int64_t> sizes, strides;
  int64_t numel;
};

// The storages of one file: named while pickles are read, then located in the file, and read when a tensor needs them.
class Storages {
 public:
  // The file must outlive this.
  explicit Storages(const InputFile& file) : file_(file) {}

  // From now on tensors share the mapping's memory if they lie in the file as they are needed: contiguous, aligned and
  // little-endian. Others are copied in any case.
  void map() { mapping_ = std::make_shared<Mapping>(file_); }

  // A reference to a storage of `numel` elements. All references to one key must agree.
  std::shared_ptr<StorageRef> refer(const std::string& key, std::optional<at::ScalarType> dtype, int64_t numel);
  // A part of a storage that has a name of its own.
  static std::shared_ptr<StorageRef> window(const StorageRef& root, int64_t begin, int64_t numel);
  // Checks that the tensor lies inside the storage.
  static std::shared_ptr<TensorSpec> tensor(const StorageRef& storage, at::ScalarType dtype, int64_t offset,
                                            std::vector<int64_t> sizes, std::vector<int64_t> strides);

  size_t size() const { return entries_.size(); }
  const std::string& key(size_t index) const { return entries_[index].key; }
  int64_t nbytes(size_t index) const { return entries_[index].nbytes; }
  int64_t numel(size_t index) const { return entries_[index].numel; }
  std::optional<size_t> find(const std::string& key) const;

  // A storage as the tensor of its bytes.
  static std::shared_ptr<TensorSpec> bytes(const StorageRef& storage);

  // The storage's bytes begin here; the caller knows that all of them are inside the file.
  void locate(size_t index, uint64_t offset, bool big_endian = false);

  // The tensor, contiguous, in memory of its own unless map() was called. Only its own bytes are read from the file.
  at::Tensor read(const TensorSpec& spec);

 private:
  struct Entry {
    std::string key;
    std::optional<at::ScalarType> dtype;
    int64_t numel;
    int64_t nbytes;
    std::optional<uint64_t> offset{};
    bool big_endian = false;
    c10::Storage storage{};  // read for tensors that are not contiguous
  };
  const c10::Storage& storage(size_t index);
  void read(const Entry& entry, uint64_t begin, void* to, size_t nbytes) const;

  const InputFile& file_;
  std::shared_ptr<Mapping> mapping_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t> by_key_;
};

}  // namespace visiontorch::checkpoint
