#include "checkpoint/pickler.h"

#include <bit>
#include <cstring>
#include <limits>

#include "checkpoint/dtype.h"
#include "runtime/error.h"

namespace visiontorch::checkpoint {

template <class T>
void Pickler::write_number(T number) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &number, sizeof(T));
  out_.append(bytes, sizeof(T));
}

std::string Pickler::pickle(const Value& value) {
  out_ = "\x80\x02";
  write(value, 0);
  out_ += '.';
  return std::move(out_);
}

void Pickler::write(const Value& value, int depth) {
  if (depth > Value::kMaxDepth) {
    throw Error("ERR_INVALID_ARGUMENT", "a checkpoint may nest lists and dictionaries " +
                                            std::to_string(Value::kMaxDepth) + " deep; this value is nested deeper");
  }
  switch (value.kind()) {
    case Value::Kind::None: out_ += 'N'; return;
    case Value::Kind::Bool: out_ += value.as_bool() ? '\x88' : '\x89'; return;
    case Value::Kind::Int: return write_int(value.as_int());
    case Value::Kind::BigInt: return write_long(value.as_big_int());
    case Value::Kind::Float:
      out_ += 'G';
      return write_number(__builtin_bswap64(std::bit_cast<uint64_t>(value.as_float())));
    case Value::Kind::String: return write_string(value.as_string());
    case Value::Kind::List:
    case Value::Kind::Tuple: {
      bool is_tuple = value.kind() == Value::Kind::Tuple;
      out_ += is_tuple ? "(" : "](";
      for (const Value& item : value.as_list()) write(item, depth + 1);
      out_ += is_tuple ? 't' : 'e';
      return;
    }
    case Value::Kind::Dict:
    case Value::Kind::OrderedDict:
      out_ += value.kind() == Value::Kind::Dict ? "}(" : "ccollections\nOrderedDict\n)R(";
      for (const auto& [key, item] : value.as_dict()) {
        write(key, depth + 1);
        write(item, depth + 1);
      }
      out_ += 'u';
      if (value.version() != 0) {
        const Value root = Value::dict({{"version", value.version()}});
        write(Value::dict({{"_metadata", Value::dict({{"", root}}, Value::Kind::OrderedDict)}}), depth + 1);
        out_ += 'b';  // BUILD: the object's attributes
      }
      return;
    case Value::Kind::Tensor: return write_tensor(value.as_tensor());
    case Value::Kind::Bytes:
    case Value::Kind::Opaque: break;
  }
  throw Error("ERR_INVALID_ARGUMENT", "bytes cannot be written into a checkpoint. Write a tensor of dtype 'uint8'");
}

void Pickler::write_int(int64_t value) {
  if (value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max()) {
    out_ += 'J';
    return write_number(static_cast<int32_t>(value));
  }
  char bytes[sizeof(value)];
  std::memcpy(bytes, &value, sizeof(value));
  write_long({bytes, sizeof(value)});
}

void Pickler::write_long(std::string_view bytes) {
  if (bytes.size() > 255) throw Error("ERR_INVALID_ARGUMENT", "an integer of a checkpoint may have at most 255 bytes");
  out_ += '\x8A';
  out_ += static_cast<char>(bytes.size());
  out_ += bytes;
}

void Pickler::write_string(std::string_view text) {
  out_ += 'X';
  write_number(static_cast<uint32_t>(text.size()));
  out_ += text;
}

void Pickler::write_sizes(at::IntArrayRef sizes) {
  out_ += '(';
  for (int64_t size : sizes) write_int(size);
  out_ += 't';
}

int64_t Pickler::counted_size(const at::Tensor& tensor) {
  return find_dtype(tensor.scalar_type())->stem.empty() ? 1 : tensor.element_size();
}

void Pickler::write_tensor(const at::Tensor& given) {
  const DType* dtype = find_dtype(given.scalar_type());
  if (dtype == nullptr || given.layout() != at::kStrided) {
    throw Error("ERR_INVALID_ARGUMENT", std::string("a tensor of type ") + c10::toString(given.scalar_type()) +
                                            " cannot be written into a checkpoint");
  }
  at::Tensor tensor = given.device().is_cpu() ? given : given.cpu();
  const void* identity = given.storage().unsafeGetStorageImpl();
  auto [found, is_new] = index_.try_emplace(identity, storages_.size());
  // A copy from another device gets a storage of its own, and so does a storage that is used with a second type.
  if (!is_new && (!given.device().is_cpu() || storages_[found->second].scalar_type() != given.scalar_type())) {
    found->second = storages_.size();
    is_new = true;
  }
  size_t index = found->second;
  if (is_new) storages_.push_back(tensor);
  const bool is_untyped = dtype->stem.empty();
  const int64_t numel = static_cast<int64_t>(tensor.storage().nbytes()) / counted_size(tensor);

  out_ += is_untyped ? "ctorch._utils\n_rebuild_tensor_v3\n((" : "ctorch._utils\n_rebuild_tensor_v2\n((";
  write_string("storage");
  out_ += is_untyped ? "ctorch.storage\nUntypedStorage\n" : "ctorch\n" + std::string(dtype->stem) + "Storage\n";
  write_string(std::to_string(index));
  write_string("cpu");
  write_int(numel);
  out_ += dialect_ == Dialect::Legacy ? "NtQ" : "tQ";
  write_int(tensor.storage_offset());
  write_sizes(tensor.sizes());
  write_sizes(tensor.strides());
  out_ += '\x89';  // requires_grad
  out_ += "ccollections\nOrderedDict\n)R";
  if (is_untyped) out_ += "ctorch\n" + std::string(dtype->name) + "\n";
  out_ += "tR";
}

}  // namespace visiontorch::checkpoint
