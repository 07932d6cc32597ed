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

// A storage that a pickle names, or a window of one: `begin` and `numel` count elements.
struct StorageRef : Value::Opaque {
  size_t index;
  std::optional<at::ScalarType> dtype;  // unset: an untyped storage, whose elements are bytes
  int64_t begin;
  int64_t numel;
};

// A tensor whose place in its storage has been checked, and whose data has not been read yet.
struct TensorSpec : Value::Opaque {
  at::Tensor elements;  // the data, if it is in the pickle itself; then there is no storage
  size_t storage = 0;
  at::ScalarType stored;  // the type of the data
  at::ScalarType dtype;   // the type of the tensor
  bool is_conjugated = false, is_negated = false;
  int64_t offset = 0;  // in elements, from the start of the storage
  std::vector<int64_t> sizes, strides;
  int64_t numel = 0;

  bool is_contiguous() const;
  // Returns whether the tensor can use the storage's data as it is, without computation.
  bool is_plain() const { return stored == dtype && !is_conjugated && !is_negated; }
  int64_t nbytes() const { return numel * static_cast<int64_t>(c10::elementSize(dtype)); }
};

// Swaps the bytes of elements in the other byte order; a complex number is two elements.
void swap_bytes(char* data, size_t nbytes, at::ScalarType type);

// The storages of one file. Pickles name them, then they are located in the file, and they are read when a tensor needs
// them.
class Storages {
 public:
  // The file must outlive this.
  explicit Storages(const InputFile& file) : file_(file) {}

  // From now on, tensors share the mapping's memory if the file stores them contiguously, aligned and little-endian.
  // Others are copied in any case.
  void map() { mapping_ = std::make_shared<Mapping>(file_); }

  // Returns a reference to a storage of `numel` elements. All references to one key must agree.
  c10::intrusive_ptr<StorageRef> refer(const std::string& key, std::optional<at::ScalarType> dtype, int64_t numel);
  // Returns a named part of a storage.
  static c10::intrusive_ptr<StorageRef> window(const StorageRef& root, int64_t begin, int64_t numel);
  // Checks that the tensor lies inside the storage.
  static c10::intrusive_ptr<TensorSpec> tensor(const StorageRef& storage, at::ScalarType dtype, int64_t offset,
                                               std::vector<int64_t> sizes, std::vector<int64_t> strides);
  // Makes a tensor with one dimension whose elements do not come from a storage.
  static c10::intrusive_ptr<TensorSpec> tensor(at::Tensor elements);

  size_t size() const { return entries_.size(); }
  const std::string& key(size_t index) const { return entries_[index].key; }
  int64_t nbytes(size_t index) const { return entries_[index].nbytes; }
  int64_t numel(size_t index) const { return entries_[index].numel; }
  std::optional<size_t> find(const std::string& key) const;

  // Makes a tensor of a storage's bytes.
  static c10::intrusive_ptr<TensorSpec> bytes(const StorageRef& storage);

  // Sets where the storage's bytes start. The caller must have checked that all of them are inside the file.
  void locate(size_t index, uint64_t offset, bool big_endian = false);

  // A function that is called with each block of the data of tensor i, on one of several threads, while the block is in
  // that core's cache.
  using Visit = std::function<void(size_t i, const char* data, size_t nbytes)>;
  // Returns the tensors, contiguous, in memory of their own unless map() was called. Several threads read the tensors'
  // own bytes from the file, and nothing else.
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
    c10::Storage storage{};  // set once it has been read, for tensors that are not contiguous
  };
  // A tensor and, if its data still has to be copied from the file, where the data is: from `begin` on in the storage
  // `source`.
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
