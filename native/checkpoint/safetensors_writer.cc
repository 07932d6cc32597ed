#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/containers.h"
#include "checkpoint/safetensors.h"
#include "runtime/error.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

// With the header padded to a multiple of this, the data is aligned for every type, so programs can map it.
constexpr size_t kAlignment = 8;

[[noreturn]] void refuse(std::string_view name, const std::string& why) {
  throw Error("ERR_INVALID_ARGUMENT", in_quotes(name) + " cannot be written into a safetensors file: " + why);
}

std::string json_text(std::string_view text) {
  if (!is_utf8(text)) refuse(text, "the text is not valid Unicode. Rename it");
  std::string json = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < ' ') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      json += escape;
    } else {
      json += c;
    }
  }
  return json + '"';
}

std::string_view type_of(std::string_view name, const at::Tensor& tensor) {
  for (const auto& [text, type] : kSafetensorsTypes)
    if (type == tensor.scalar_type()) return text;
  refuse(name, std::string("the format has no type ") + c10::toString(tensor.scalar_type()));
}

std::string metadata_json(const Value& metadata) {
  if (!metadata.is_dict()) refuse(kMetadata, "expected a dictionary of strings");
  std::string json = "{";
  for (const auto& [key, value] : metadata.as_dict()) {
    if (key.kind() != Value::Kind::String || value.kind() != Value::Kind::String)
      refuse(kMetadata, "expected a dictionary of strings");
    if (json.size() > 1) json += ',';
    json += json_text(key.as_string());
    json += ':';
    json += json_text(value.as_string());
  }
  return json + '}';
}

struct Item {
  const std::string* name;
  at::Tensor tensor;
};

}  // namespace

void write_safetensors(const Descriptor& file, const Value& value) {
  if (!value.is_dict()) refuse("the value", "expected a dictionary of tensors");
  std::vector<Item> items;
  std::string header = "{";
  for (const auto& [key, item] : value.as_dict()) {
    if (key.kind() != Value::Kind::String) refuse("a key", "expected strings");
    const std::string& name = key.as_string();
    if (name == kMetadata) {
      header += json_text(kMetadata);
      header += ':';
      header += metadata_json(item);
    } else if (item.is_tensor()) {
      items.push_back({&name, item.as_tensor()});
    } else {
      refuse(name, "expected a tensor. Write the state dict alone, or choose another container");
    }
  }
  // In the Python library's order, which aligns each tensor to its element size.
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.tensor.element_size() > b.tensor.element_size(); });
  size_t offset = 0;
  for (const auto& [name, tensor] : items) {
    if (header.size() > 1) header += ',';
    std::string shape;
    for (int64_t size : tensor.sizes()) {
      if (!shape.empty()) shape += ',';
      shape += std::to_string(size);
    }
    const std::string begin = std::to_string(offset), end = std::to_string(offset += tensor.nbytes());
    header += json_text(*name);
    header += ":{\"dtype\":";
    header += json_text(type_of(*name, tensor));
    header += ",\"shape\":[";
    header += shape;
    header += "],\"data_offsets\":[";
    header += begin;
    header += ',';
    header += end;
    header += "]}";
  }
  header += '}';
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  if (header.size() > kLongestHeader)
    throw Error("ERR_INVALID_ARGUMENT",
                "the header of the safetensors file would have more than " + std::to_string(kLongestHeader) + " bytes");
  Output output(file);
  const uint64_t length = header.size();
  output.write(&length, sizeof(length));
  output.write(header.data(), header.size());
  for (const auto& [name, tensor] : items) {
    output.check();
    const at::Tensor data = tensor.detach().cpu().contiguous();
    output.write(data.const_data_ptr(), data.nbytes());
  }
  output.check();
}

}  // namespace visiontorch::checkpoint
