#include "checkpoint/writer.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include <string>
#include <unordered_map>

#include "checkpoint/pickler.h"
#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

// The part of the tensor's storage that the pickle counts: the bytes of whole elements.
size_t whole_bytes(const at::Tensor& tensor) {
  return tensor.storage().nbytes() - tensor.storage().nbytes() % tensor.element_size();
}

void write_zip(const Descriptor& file, const Value& value) {
  Pickler pickler(Pickler::Dialect::Zip);
  std::string pickle = pickler.pickle(value);
  Output output(file);
  {
    caffe2::serialize::PyTorchStreamWriter archive(
        [&output](const void* data, size_t size) { return output.write(data, size); });
    archive.writeRecord("data.pkl", pickle.data(), pickle.size());
    archive.writeRecord("byteorder", "little", 6);
    size_t index = 0;
    for (const at::Tensor& tensor : pickler.storages()) {
      output.check();
      archive.writeRecord("data/" + std::to_string(index++), tensor.storage().data(), whole_bytes(tensor));
    }
    archive.writeEndOfFile();
  }
  output.check();
}

class Converter {
 public:
  explicit Converter(at::ScalarType dtype) : dtype_(dtype) {}

  Value convert(const Value& value) {
    if (value.is_tensor()) return convert(value.as_tensor());
    if (value.is_list()) {
      Value::List items;
      for (const Value& item : value.as_list()) items.push_back(convert(item));
      return Value::list(std::move(items), value.kind());
    }
    if (!value.is_dict()) return value;
    Value::Dict items;
    for (const auto& [key, item] : value.as_dict()) items.emplace_back(key, convert(item));
    return value.version() != 0 ? Value::state_dict(std::move(items), value.version())
                                : Value::dict(std::move(items), value.kind());
  }

 private:
  at::Tensor convert(const at::Tensor& tensor) {
    if (!tensor.is_floating_point() || tensor.scalar_type() == dtype_) return tensor;
    at::Tensor& result = results_[tensor.unsafeGetTensorImpl()];
    if (result.defined()) return result;
    result = tensor.to(dtype_);
    const auto too_large = result.to(at::kFloat).isinf().logical_and_(tensor.to(at::kFloat).isfinite());
    if (too_large.any().item<bool>())
      throw Error("ERR_NON_FINITE", std::string("a weight is too large for ") + c10::toString(dtype_) +
                                        ", and would become infinite. Choose bfloat16 or float32");
    return result;
  }

  const at::ScalarType dtype_;
  std::unordered_map<const void*, at::Tensor> results_;  // a tensor in several places stays one tensor
};

}  // namespace

Value converted(const Value& value, at::ScalarType dtype) { return Converter(dtype).convert(value); }

void write(const Descriptor& file, const Value& value, Container container) {
  switch (container) {
    case Container::Zip: return write_zip(file, value);
    case Container::Legacy: return write_legacy(file, value);
    case Container::Safetensors: return write_safetensors(file, value);
    case Container::Tar: break;
  }
  throw Error("ERR_INVALID_ARGUMENT", "tar files cannot be written");
}

}  // namespace visiontorch::checkpoint
