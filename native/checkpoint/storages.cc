#include "checkpoint/storages.h"

#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>

#include "checkpoint/bytes.h"

namespace visiontorch::checkpoint {

namespace {

constexpr size_t kMaxDimensions = 64;

void swap_bytes(char* data, size_t nbytes, size_t itemsize) {
  for (size_t at = 0; at + itemsize <= nbytes; at += itemsize) std::reverse(data + at, data + at + itemsize);
}

bool is_contiguous(const TensorSpec& spec) {
  int64_t expected = 1;
  for (size_t i = spec.sizes.size(); i-- > 0; expected *= spec.sizes[i])
    if (spec.sizes[i] != 1 && spec.strides[i] != expected) return false;
  return true;
}

at::Tensor tensor_in(c10::Storage storage, const TensorSpec& spec) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                         c10::scalarTypeToTypeMeta(spec.dtype));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(spec.sizes, spec.strides, spec.offset);
  return tensor;
}

}  // namespace

std::shared_ptr<StorageRef> Storages::refer(const std::string& key, std::optional<at::ScalarType> dtype,
                                            int64_t numel) {
  auto [found, is_new] = by_key_.try_emplace(key, entries_.size());
  if (is_new) {
    int64_t itemsize = dtype ? static_cast<int64_t>(c10::elementSize(*dtype)) : 1;
    entries_.push_back(
        {key, dtype, numel, checked_mul(numel, itemsize, ("the size of storage '" + key + "'").c_str())});
  }
  const Entry& entry = entries_[found->second];
  if (entry.dtype != dtype || entry.numel != numel)
    corrupt("storage '" + key + "' is named twice with another type or number of elements");
  auto reference = std::make_shared<StorageRef>();
  reference->index = found->second;
  reference->dtype = dtype;
  reference->begin = 0;
  reference->numel = numel;
  return reference;
}

std::shared_ptr<StorageRef> Storages::window(const StorageRef& root, int64_t begin, int64_t numel) {
  if (checked_add(begin, numel, "the end of a storage view") > root.numel)
    corrupt("a storage view reaches beyond the " + std::to_string(root.numel) + " elements of its storage");
  auto reference = std::make_shared<StorageRef>(root);
  reference->begin = root.begin + begin;
  reference->numel = numel;
  return reference;
}

std::shared_ptr<TensorSpec> Storages::tensor(const StorageRef& storage, at::ScalarType dtype, int64_t offset,
                                             std::vector<int64_t> sizes, std::vector<int64_t> strides) {
  int64_t itemsize = static_cast<int64_t>(c10::elementSize(dtype));
  if (storage.dtype && *storage.dtype != dtype) corrupt("a tensor has another type than its storage");
  int64_t begin = storage.begin, available = storage.numel;
  if (!storage.dtype) {
    if (begin % itemsize != 0) corrupt("a tensor begins inside an element of its storage");
    begin /= itemsize;
    available /= itemsize;
  }
  if (sizes.size() != strides.size() || sizes.size() > kMaxDimensions) {
    corrupt("a tensor has " + std::to_string(sizes.size()) + " sizes and " + std::to_string(strides.size()) +
            " strides");
  }
  int64_t numel = 1, positive = 1, last = offset;
  for (size_t i = 0; i < sizes.size(); i++) {
    if (sizes[i] < 0 || strides[i] < 0) corrupt("a tensor has a negative size or stride");
    positive = checked_mul(positive, std::max<int64_t>(sizes[i], 1), "the number of elements of a tensor");
    numel *= sizes[i];
    if (sizes[i] > 0)
      last =
          checked_add(last, checked_mul(sizes[i] - 1, strides[i], "the extent of a tensor"), "the extent of a tensor");
  }
  checked_mul(positive, itemsize, "the size of a tensor");
  if (offset < 0 || offset > available || (numel > 0 && last >= available)) {
    corrupt("a tensor reaches to element " + std::to_string(last) + " of a storage of " + std::to_string(available));
  }
  auto spec = std::make_shared<TensorSpec>();
  spec->storage = storage.index;
  spec->dtype = dtype;
  spec->offset = begin + offset;
  spec->sizes = std::move(sizes);
  spec->strides = std::move(strides);
  spec->numel = numel;
  return spec;
}

std::optional<size_t> Storages::find(const std::string& key) const {
  auto found = by_key_.find(key);
  return found == by_key_.end() ? std::nullopt : std::optional(found->second);
}

void Storages::locate(size_t index, uint64_t offset, bool big_endian) {
  if (entries_[index].offset) corrupt("storage '" + entries_[index].key + "' stands twice in the file");
  if (big_endian && !entries_[index].dtype)
    throw Error("ERR_CHECKPOINT_UNSUPPORTED",
                "untyped storages of a big-endian machine are not supported. Save the file again");
  entries_[index].offset = offset;
  entries_[index].big_endian = big_endian;
}

std::shared_ptr<TensorSpec> Storages::bytes(const StorageRef& storage) {
  int64_t itemsize = storage.dtype ? static_cast<int64_t>(c10::elementSize(*storage.dtype)) : 1;
  auto spec = std::make_shared<TensorSpec>();
  spec->storage = storage.index;
  spec->dtype = at::kByte;
  spec->offset = storage.begin * itemsize;
  spec->sizes = {storage.numel * itemsize};
  spec->strides = {1};
  spec->numel = storage.numel * itemsize;
  return spec;
}

void Storages::read(const Entry& entry, uint64_t begin, void* to, size_t nbytes) const {
  if (!entry.offset) corrupt("the data of storage '" + entry.key + "' is not in the file");
  file_.read(*entry.offset + begin, to, nbytes);
  if (entry.big_endian) swap_bytes(static_cast<char*>(to), nbytes, c10::elementSize(*entry.dtype));
}

const c10::Storage& Storages::storage(size_t index) {
  Entry& entry = entries_[index];
  if (entry.storage) return entry.storage;
  auto nbytes = static_cast<size_t>(entry.nbytes);
  c10::DataPtr data = c10::GetCPUAllocator()->allocate(nbytes);
  read(entry, 0, data.get(), nbytes);
  entry.storage = c10::Storage(c10::Storage::use_byte_size_t(), nbytes, std::move(data), nullptr, false);
  return entry.storage;
}

at::Tensor Storages::read(const TensorSpec& spec) {
  const Entry& entry = entries_[spec.storage];
  if (!is_contiguous(spec)) return tensor_in(storage(spec.storage), spec).clone(at::MemoryFormat::Contiguous);
  const size_t itemsize = c10::elementSize(spec.dtype);
  if (mapping_ && entry.offset && *entry.offset % itemsize == 0 && !entry.big_endian) {
    auto nbytes = static_cast<size_t>(entry.nbytes);
    return tensor_in(
        c10::Storage(c10::Storage::use_byte_size_t(), nbytes, mapping_->share(*entry.offset), nullptr, false), spec);
  }
  at::Tensor tensor = at::empty(spec.sizes, spec.dtype);
  read(entry, static_cast<uint64_t>(spec.offset) * itemsize, tensor.data_ptr(), tensor.nbytes());
  return tensor;
}

}  // namespace visiontorch::checkpoint
