#include "checkpoint/content.h"

#include <functional>
#include <optional>
#include <set>
#include <unordered_map>

#include "checkpoint/bytes.h"
#include "checkpoint/globals.h"

namespace visiontorch::checkpoint {

// Every recursion here is bounded: in check_content by its own check, afterwards by what it has established.
namespace {

constexpr int64_t kMaxExpandedValues = 4'000'000;

class Checker {
 public:
  explicit Checker(uint64_t file_size) : max_bytes_(8 * static_cast<int64_t>(file_size) + (64 << 20)) {}

  // What a value weighs when everything that it shares is written out.
  struct Weight {
    int64_t values = 1;
    int64_t bytes = 0;
    int height = 0;
  };

  std::unordered_set<const void*> containers() const {
    std::unordered_set<const void*> identities;
    for (const auto& [identity, weight] : seen_) identities.insert(identity);
    return identities;
  }

  Weight check(Value& value, int depth) {
    if (value.is_list() || value.is_dict()) return check_container(value, depth);
    Weight weight;
    if (value.kind() == Value::Kind::String) weight.bytes = static_cast<int64_t>(value.as_string().size());
    if (value.kind() == Value::Kind::Bytes) weight.bytes = value.as_bytes().data.numel();
    if (value.kind() == Value::Kind::Opaque) weight.bytes = check_opaque(value);
    check_weight(weight);
    return weight;
  }

 private:
  Weight check_container(Value& value, int depth) {
    const void* identity = value.identity();
    auto [found, is_new] = seen_.try_emplace(identity, std::nullopt);
    if (!is_new && !found->second) corrupt("a list or dictionary contains itself");
    if (depth + (is_new ? 0 : found->second->height) >= Value::kMaxDepth)
      corrupt("lists and dictionaries are nested deeper than " + std::to_string(Value::kMaxDepth));
    if (!is_new) return *found->second;
    Weight total;
    auto add = [&](Value& item) {
      Weight weight = check(item, depth + 1);
      total.values += weight.values;
      total.bytes += weight.bytes;
      total.height = std::max(total.height, weight.height + 1);
      check_weight(total);
    };
    if (value.is_list()) {
      for (Value& item : value.as_list()) add(item);
    } else {
      std::set<std::pair<Value::Kind, std::string>> keys;
      for (auto& [key, item] : value.as_dict()) {
        check_key(key, keys);
        add(key);
        add(item);
      }
    }
    seen_[identity] = total;
    return total;
  }

  // Sums stay far below overflow, as each part of them was checked.
  void check_weight(const Weight& weight) const {
    if (weight.values > kMaxExpandedValues || weight.bytes > max_bytes_)
      corrupt("shared values would expand to many times the size of the file");
  }

  static void check_key(const Value& key, std::set<std::pair<Value::Kind, std::string>>& keys) {
    std::string text;
    switch (key.kind()) {
      case Value::Kind::String: text = key.as_string(); break;
      case Value::Kind::Int: text = std::to_string(key.as_int()); break;
      case Value::Kind::List:
      case Value::Kind::Dict:
      case Value::Kind::OrderedDict: corrupt("a list or dictionary is the key of a dictionary");
      default: return;
    }
    // Loaders differ in which of two they take.
    if (!keys.emplace(key.kind(), text).second) corrupt("the key '" + text + "' stands twice in a dictionary");
  }

  static int64_t check_opaque(Value& value) {
    if (auto* tensor = value.as_opaque<TensorSpec>())
      return tensor->numel * static_cast<int64_t>(c10::elementSize(tensor->dtype));
    if (auto* storage = value.as_opaque<StorageRef>())
      return storage->numel * static_cast<int64_t>(storage->dtype ? c10::elementSize(*storage->dtype) : 1);
    auto* global = value.as_opaque<Global>();
    if (global == nullptr || global->what != Global::What::DType) {
      throw Error("ERR_CHECKPOINT_UNSUPPORTED", "the file holds the Python class " + (global ? global->name : "?") +
                                                    " as a value. Save plain values and tensors only");
    }
    value = Value(global->name);
    return 0;
  }

  int64_t max_bytes_;
  std::unordered_map<const void*, std::optional<Weight>> seen_;  // nothing: being visited
};

std::string text_of(const Value& key) {
  switch (key.kind()) {
    case Value::Kind::String: return key.as_string();
    case Value::Kind::Int: return std::to_string(key.as_int());
    case Value::Kind::Float: return std::to_string(key.as_float());
    case Value::Kind::Bool: return key.as_bool() ? "True" : "False";
    case Value::Kind::None: return "None";
    default: return "?";
  }
}

// Calls visit(key, value) for each item of a container.
template <class Visit>
void for_each(const Value& container, const Visit& visit) {
  if (container.is_dict()) {
    for (const auto& [key, value] : container.as_dict()) visit(key, value);
  } else {
    int64_t index = 0;
    for (const Value& value : container.as_list()) visit(Value(index++), value);
  }
}

void list_into(std::vector<TensorInfo>& tensors, const Value& value, const std::string& name) {
  if (auto* spec = value.as_opaque<TensorSpec>()) {
    tensors.push_back(
        {name, spec->dtype, spec->sizes, spec->numel * static_cast<int64_t>(c10::elementSize(spec->dtype))});
  } else if (value.is_list() || value.is_dict()) {
    for_each(value, [&](const Value& key, const Value& item) {
      if (item.is_list() || item.is_dict() || item.as_opaque<TensorSpec>())
        list_into(tensors, item, name.empty() ? text_of(key) : name + "/" + text_of(key));
    });
  }
}

// The value without tensors, and whether there were some in it.
std::pair<std::optional<Value>, bool> without_tensors(const Value& value) {
  if (value.kind() == Value::Kind::Opaque) return {std::nullopt, true};
  if (!value.is_list() && !value.is_dict()) return {value, false};
  Value::Dict rest;
  bool has_tensors = false;
  for_each(value, [&](const Value& key, const Value& item) {
    auto [kept, had] = without_tensors(item);
    has_tensors = has_tensors || had;
    if (kept) rest.emplace_back(key, std::move(*kept));
  });
  if (!has_tensors) return {value, false};
  if (rest.empty()) return {std::nullopt, true};
  return {Value::dict(std::move(rest)), true};
}

}  // namespace

std::unordered_set<const void*> check_content(Value& root, uint64_t file_size) {
  Checker checker(file_size);
  checker.check(root, 0);
  return checker.containers();
}

std::vector<TensorInfo> list_tensors(const Value& root) {
  std::vector<TensorInfo> tensors;
  list_into(tensors, root, "");
  return tensors;
}

Value metadata_of(const Value& root) {
  std::optional<Value> rest = without_tensors(root).first;
  if (!rest) return Value::dict({});
  if (rest->is_dict()) return *rest;
  Value::Dict items;
  if (rest->is_list())
    for_each(*rest, [&](const Value& key, const Value& item) { items.emplace_back(key, item); });
  else
    items.emplace_back(Value(""), *rest);
  return Value::dict(std::move(items));
}

Value with_tensors(const Value& value, Storages& storages) {
  if (auto* spec = value.as_opaque<TensorSpec>()) return storages.read(*spec);
  if (auto* storage = value.as_opaque<StorageRef>()) return Value::Bytes{storages.read(*Storages::bytes(*storage))};
  if (value.is_list()) {
    Value::List items;
    for (const Value& item : value.as_list()) items.push_back(with_tensors(item, storages));
    return Value::list(std::move(items), value.kind());
  }
  if (value.is_dict()) {
    Value::Dict items;
    for (const auto& [key, item] : value.as_dict()) items.emplace_back(key, with_tensors(item, storages));
    return Value::dict(std::move(items), value.kind());
  }
  return value;
}

}  // namespace visiontorch::checkpoint
