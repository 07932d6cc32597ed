#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
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
  at::Tensor elements;  // the data, if the pickle itself holds it; no storage then
  size_t storage = 0;
  at::ScalarType stored;  // the type of the data
  at::ScalarType dtype;   // the type of the tensor
  bool is_conjugated = false, is_negated = false;
  int64_t offset = 0;  // in elements, from the start of the storage
  std::vector<int64_t> sizes, strides;
  int64_t numel = 0;

  bool is_contiguous() const;
  // Whether the tensor's data is the storage's, and needs no computation.
  bool is_plain() const { return stored == dtype && !is_conjugated && !is_negated; }
  int64_t nbytes() const { return numel * static_cast<int64_t>(c10::elementSize(dtype)); }
};

// Turns elements of the other byte order; a complex number is two elements.
void swap_bytes(char* data, size_t nbytes, at::ScalarType type);

// The storages of one file: named while pickles are read, then located in the file, and read when a tensor needs them.
class Storages {
 public:
  // The file must outlive this.
  explicit Storages(const InputFile& file) : file_(file) {}

  // From now on tensors share the mapping's memory if they lie in the file as they are needed: contiguous, aligned and
  // little-endian. Others are copied in any case.
  void map() { mapping_ = std::make_shared<Mapping>(file_); }

  // A reference to a storage of `numel` elements. All references to one key must agree.
  c10::intrusive_ptr<StorageRef> refer(const std::string& key, std::optional<at::ScalarType> dtype, int64_t numel);
  // A part of a storage that has a name of its own.
  static c10::intrusive_ptr<StorageRef> window(const StorageRef& root, int64_t begin, int64_t numel);
  // Checks that the tensor lies inside the storage.
  static c10::intrusive_ptr<TensorSpec> tensor(const StorageRef& storage, at::ScalarType dtype, int64_t offset,
                                               std::vector<int64_t> sizes, std::vector<int64_t> strides);
  // A tensor of one dimension whose elements do not come from a storage.
  static c10::intrusive_ptr<TensorSpec> tensor(at::Tensor elements);

  size_t size() const { return entries_.size(); }
  const std::string& key(size_t index) const { return entries_[index].key; }
  int64_t nbytes(size_t index) const { return entries_[index].nbytes; }
  int64_t numel(size_t index) const { return entries_[index].numel; }
  std::optional<size_t> find(const std::string& key) const;

  // A storage as the tensor of its bytes.
  static c10::intrusive_ptr<TensorSpec> bytes(const StorageRef& storage);

  // The storage's bytes begin here; the caller knows that all of them are inside the file.
  void locate(size_t index, uint64_t offset, bool big_endian = false);

  // Called with each block of the data of tensor i, on one of several threads, while the block is in that core's cache.
  using Visit = std::function<void(size_t i, const char* data, size_t nbytes)>;
  // The tensors, contiguous, in memory of their own unless map() was called. Only their own bytes are read from the
  // file, by several threads.
  std::vector<at::Tensor> read(const std::vector<const TensorSpec*>& specs, const Visit& visit = {});
  at::Tensor read(const TensorSpec& spec) { return read(std::vector{&spec})[0]; }

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
  // A tensor, with its data unless that is to be copied from the file: from `begin` on in the storage `source`.
  struct Prepared {
    at::Tensor tensor;
    const Entry* source = nullptr;
    uint64_t begin = 0;
  };
  Prepared prepare(const TensorSpec& spec);
  const c10::Storage& storage(size_t index);
  at::Tensor strided(const TensorSpec& spec);
  void read(const Entry& entry, uint64_t begin, void* to, size_t nbytes) const;

  const InputFile& file_;
  std::shared_ptr<Mapping> mapping_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t> by_key_;
};

}  // namespace visiontorch::checkpoint
