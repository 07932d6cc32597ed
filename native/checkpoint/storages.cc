#include "checkpoint/storages.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ops/conj_physical.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/neg.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "checkpoint/bytes.h"
#include "runtime/allocator.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

constexpr size_t kMaxDimensions = 64;
constexpr size_t kMaxKey = 255;  // PyTorch's are numbers
// Each takes about 1.5 KB natively and in JavaScript, however small it is.
constexpr size_t kMaxStorages = 32768;

constexpr size_t kBlock = size_t(512) << 10;  // of a tensor's data: a whole number of elements that fits into a cache
constexpr uint64_t kPerThread = uint64_t(4) << 20, kMostThreads = 8;

// Calls task(i) for each i in [0, count) on up to `most` threads. Each thread takes the next task when it is done with
// its last one.
template <class Task>
void share_out(size_t count, uint64_t most, const Task& task) {
  const uint64_t cores = std::clamp<uint64_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i; (i = next++) < count;) task(i);
  };
  std::vector<std::future<void>> others;
  for (uint64_t i = 1; i < std::min({most, cores, uint64_t(count)}); i++)
    others.push_back(std::async(std::launch::async, work));
  work();
  for (std::future<void>& other : others) other.get();
}

at::Tensor tensor_in(c10::Storage storage, const TensorSpec& spec) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                         c10::scalarTypeToTypeMeta(spec.stored));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(spec.sizes, spec.strides, spec.offset);
  return tensor;
}

}  // namespace

bool TensorSpec::is_contiguous() const {
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0; expected *= sizes[i])
    if (sizes[i] != 1 && strides[i] != expected) return false;
  return true;
}

void swap_bytes(char* data, size_t nbytes, at::ScalarType type) {
  size_t itemsize = c10::elementSize(c10::isComplexType(type) ? c10::toRealValueType(type) : type);
  for (size_t at = 0; at + itemsize <= nbytes; at += itemsize) std::reverse(data + at, data + at + itemsize);
}

c10::intrusive_ptr<StorageRef> Storages::refer(const std::string& key, std::optional<at::ScalarType> dtype,
                                               int64_t numel) {
  if (key.size() > kMaxKey) corrupt("the name of a storage has " + std::to_string(key.size()) + " bytes");
  auto [found, is_new] = by_key_.try_emplace(key, entries_.size());
  if (is_new) {
    if (entries_.size() == kMaxStorages)
      throw Error("ERR_CHECKPOINT_UNSUPPORTED",
                  "the file has the data of more than " + std::to_string(kMaxStorages) +
                      " tensors, which is the limit. Save only the tensors that are needed");
    int64_t itemsize = dtype ? static_cast<int64_t>(c10::elementSize(*dtype)) : 1;
    entries_.push_back({key, dtype, numel, checked_mul(numel, itemsize, "the size of a storage")});
  }
  const Entry& entry = entries_[found->second];
  if (entry.dtype != dtype || entry.numel != numel)
    corrupt("storage " + in_quotes(key) + " is named twice with different types or numbers of elements");
  auto reference = c10::make_intrusive<StorageRef>();
  reference->index = found->second;
  reference->dtype = dtype;
  reference->begin = 0;
  reference->numel = numel;
  return reference;
}

c10::intrusive_ptr<StorageRef> Storages::window(const StorageRef& root, int64_t begin, int64_t numel) {
  if (checked_add(begin, numel, "the end of a storage view") > root.numel)
    corrupt("a storage view reaches beyond the " + std::to_string(root.numel) + " elements of its storage");
  auto reference = c10::make_intrusive<StorageRef>(root);
  reference->begin = root.begin + begin;
  reference->numel = numel;
  return reference;
}

c10::intrusive_ptr<TensorSpec> Storages::tensor(const StorageRef& storage, at::ScalarType dtype, int64_t offset,
                                                std::vector<int64_t> sizes, std::vector<int64_t> strides) {
  int64_t itemsize = static_cast<int64_t>(c10::elementSize(dtype));
  if (storage.dtype && *storage.dtype != dtype) corrupt("a tensor's type differs from that of its storage");
  int64_t begin = storage.begin, available = storage.numel;
  if (!storage.dtype) {
    if (begin % itemsize != 0) corrupt("a tensor starts inside an element of its storage");
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
  auto spec = c10::make_intrusive<TensorSpec>();
  spec->storage = storage.index;
  spec->stored = spec->dtype = dtype;
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
  if (entries_[index].offset) corrupt("storage " + in_quotes(entries_[index].key) + " occurs twice in the file");
  if (big_endian && !entries_[index].dtype)
    throw Error("ERR_CHECKPOINT_UNSUPPORTED",
                "untyped storages of a big-endian machine are not supported. Save the file again");
  entries_[index].offset = offset;
  entries_[index].big_endian = big_endian;
}

c10::intrusive_ptr<TensorSpec> Storages::tensor(at::Tensor elements) {
  auto spec = c10::make_intrusive<TensorSpec>();
  spec->stored = spec->dtype = elements.scalar_type();
  spec->sizes = {elements.numel()};
  spec->strides = {1};
  spec->numel = elements.numel();
  spec->elements = std::move(elements);
  return spec;
}

c10::intrusive_ptr<TensorSpec> Storages::bytes(const StorageRef& storage) {
  int64_t itemsize = storage.dtype ? static_cast<int64_t>(c10::elementSize(*storage.dtype)) : 1;
  auto spec = c10::make_intrusive<TensorSpec>();
  spec->storage = storage.index;
  spec->stored = spec->dtype = at::kByte;
  spec->offset = storage.begin * itemsize;
  spec->sizes = {storage.numel * itemsize};
  spec->strides = {1};
  spec->numel = storage.numel * itemsize;
  return spec;
}

void Storages::read(const Entry& entry, uint64_t begin, void* to, size_t nbytes) const {
  if (!entry.offset) corrupt("the data of storage " + in_quotes(entry.key) + " is not in the file");
  file_.read(*entry.offset + begin, to, nbytes);
  if (entry.big_endian) swap_bytes(static_cast<char*>(to), nbytes, *entry.dtype);
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

at::Tensor Storages::strided(const TensorSpec& spec) {
  return tensor_in(spec.elements.defined() ? spec.elements.storage() : storage(spec.storage), spec);
}

Storages::Prepared Storages::prepare(const TensorSpec& spec) {
  if (!spec.is_plain()) {
    at::Tensor tensor = strided(spec);
    if (spec.is_conjugated) tensor = at::conj_physical(tensor);
    if (spec.is_negated) tensor = at::neg(tensor);
    return {tensor.to(spec.dtype).clone(at::MemoryFormat::Contiguous)};
  }
  const size_t itemsize = c10::elementSize(spec.dtype);
  if (spec.elements.defined() || !spec.is_contiguous()) {
    at::Tensor tensor = at::empty(spec.sizes, spec.dtype);
    // LibTorch cannot copy a few types, so these are copied as other types of the same size.
    at::ScalarType same_size = c10::opaqueScalarType(spec.dtype);
    tensor.view(same_size).copy_(strided(spec).view(same_size));
    return {tensor};
  }
  const Entry& entry = entries_[spec.storage];
  if (mapping_ && entry.offset && *entry.offset % itemsize == 0 && !entry.big_endian) {
    auto nbytes = static_cast<size_t>(entry.nbytes);
    return {tensor_in(
        c10::Storage(c10::Storage::use_byte_size_t(), nbytes, mapping_->share(*entry.offset), nullptr, false), spec)};
  }
  return {at::detail::empty_generic(spec.sizes, &UsualPages::allocator(), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                    spec.dtype, std::nullopt),
          &entry, static_cast<uint64_t>(spec.offset) * itemsize};
}

std::vector<at::Tensor> Storages::read(const std::vector<const TensorSpec*>& specs, const Visit& visit) {
  struct Block {
    size_t tensor;
    const Entry* source;
    uint64_t begin;
    char* data;
    size_t nbytes;
  };
  std::vector<at::Tensor> tensors;
  std::vector<Block> blocks;
  uint64_t total = 0;
  for (size_t i = 0; i < specs.size(); i++) {
    const Prepared prepared = prepare(*specs[i]);
    const size_t nbytes = prepared.tensor.nbytes();
    auto* data = static_cast<char*>(prepared.tensor.data_ptr());
    for (size_t at = 0; at < nbytes; at += kBlock)
      blocks.push_back({i, prepared.source, prepared.begin + at, data + at, std::min(kBlock, nbytes - at)});
    total += nbytes;
    tensors.push_back(prepared.tensor);
  }
  share_out(blocks.size(), total / kPerThread, [&](size_t i) {
    const Block& block = blocks[i];
    if (block.source != nullptr) {
      take_pages(block.data, block.nbytes);
      read(*block.source, block.begin, block.data, block.nbytes);
    }
    if (visit) visit(block.tensor, block.data, block.nbytes);
  });
  return tensors;
}

}  // namespace visiontorch::checkpoint
