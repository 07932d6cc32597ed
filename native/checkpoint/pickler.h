#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Writes a value as a pickle of protocol 2 whose only globals are collections.OrderedDict, the storage classes and
// torch._utils._rebuild_tensor_v2 (or _v3 and the dtype, for types without a storage class). Tensors that share a
// storage also share it in the file.
class Pickler {
 public:
  // In the legacy format, torch.save before 1.6 names a view with each storage; here it is always None.
  enum class Dialect { Zip, Legacy };
  explicit Pickler(Dialect dialect) : dialect_(dialect) {}

  std::string pickle(const Value& value);
  // Returns the size in bytes of what counts as one element of the tensor's storage: 1 for types without a storage
  // class, because their storages are untyped and count bytes.
  static int64_t counted_size(const at::Tensor& tensor);
  // The storages by their index, which is their name in the pickle. Each tensor keeps its whole storage alive.
  const std::vector<at::Tensor>& storages() const { return storages_; }

 private:
  void write(const Value& value, int depth);
  void write_int(int64_t value);
  void write_long(std::string_view bytes);
  void write_string(std::string_view text);
  void write_tensor(const at::Tensor& tensor);
  void write_sizes(at::IntArrayRef sizes);
  template <class T>
  void write_number(T number);

  const Dialect dialect_;
  std::string out_;
  std::vector<at::Tensor> storages_;
  std::unordered_map<const void*, size_t> index_;
};

}  // namespace visiontorch::checkpoint
