#include "checkpoint/content.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "checkpoint/bytes.h"
#include "checkpoint/globals.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

// Every recursion here is bounded: check_content() checks the depth, and the other functions run after it.
namespace {

// Estimates, in bytes, of the memory that values take: here, as a copy with tensors, and in JavaScript.
constexpr double kItem = 64, kEntry = 120;  // an item of a list; an entry of a dictionary
constexpr double kText = 96, kList = 160, kDict = 320, kBytes = 256;
constexpr double kListed = 128;  // a tensor in the list of all tensors, in addition to its name

// The longest name of a key that is not a string.
constexpr size_t kLongestKey = 128;

std::string text_of(const Value& key);

class Checker {
 public:
  explicit Checker(double limit) : limit_(limit) {}

  // The memory that a value takes if shared parts are counted each time.
  struct Weight {
    double bytes = 0;
    double listed = 0;  // tensors and skipped objects, with their names
    double names = 0;
    int height = 0;
    double total() const { return bytes + listed * kListed + names; }
  };

  Weight check(Value& value, int depth) {
    resolve(value);
    if (value.is_list() || value.is_dict()) return check_container(value, depth);
    Weight weight;
    if (value.kind() == Value::Kind::String) weight.bytes += kText + 2 * static_cast<double>(value.as_string().size());
    if (value.kind() == Value::Kind::BigInt) weight.bytes += kText + static_cast<double>(value.as_big_int().size());
    if (value.kind() == Value::Kind::Bytes) weight.bytes += kBytes + static_cast<double>(value.as_bytes().data.numel());
    if (auto* storage = value.as_opaque<StorageRef>())
      weight.bytes += kBytes + static_cast<double>(Storages::bytes(*storage)->numel);
    else if (value.kind() == Value::Kind::Opaque)
      weight.listed = 1;
    if (auto* object = value.as_opaque<Object>()) weight.names = static_cast<double>(object->type->name.size());
    return weight;
  }

 private:
  // Replaces a class by its name, and an object by its content.
  static void resolve(Value& value) {
    if (auto* object = value.as_opaque<Object>(); object != nullptr && object->items.kind() != Value::Kind::None)
      value = Value(object->items);
    if (auto* global = value.as_opaque<Global>(); global != nullptr) {
      if (global->what != Global::What::Unknown) {
        value = Value(global->name);
      } else {
        auto object = c10::make_intrusive<Object>();
        object->type = c10::intrusive_ptr<Global>::reclaim_copy(global);
        value = Value(std::move(object));
      }
    }
  }

  Weight check_container(Value& value, int depth) {
    const void* identity = value.identity();
    auto [found, is_new] = seen_.try_emplace(identity, std::nullopt);
    if (!is_new && !found->second) corrupt("a list or dictionary contains itself");
    if (depth + (is_new ? 0 : found->second->height) >= Value::kMaxDepth)
      corrupt("lists and dictionaries are nested deeper than " + std::to_string(Value::kMaxDepth));
    if (!is_new) return *found->second;
    value.keep();
    Weight total;
    total.bytes += value.is_list() ? kList : kDict;
    auto add = [&](Value& item, double key_length) {
      Weight weight = check(item, depth + 1);
      total.bytes += weight.bytes;
      total.listed += weight.listed;
      total.names += weight.names + weight.listed * (key_length + 1);
      total.height = std::max(total.height, weight.height + 1);
      if (total.total() > limit_) corrupt("shared values would expand to many times the size of the file");
    };
    if (value.is_list()) {
      for (Value& item : value.as_list()) {
        total.bytes += kItem;
        add(item, 6);
      }
    } else {
      Keys keys;
      for (auto& [key, item] : value.as_dict()) {
        check_key(key, keys);
        add(key, 0);
        total.bytes += kEntry;
        add(item, static_cast<double>(length_of(key)));
      }
    }
    seen_[identity] = total;
    return total;
  }

  struct Keys {
    std::unordered_set<std::string_view> strings;
    std::unordered_set<int64_t> ints;
  };

  // An upper bound on the length of text_of(key).
  static size_t length_of(const Value& key) {
    if (key.kind() == Value::Kind::String) return key.as_string().size();
    return key.kind() == Value::Kind::Int ? text_of(key).size() : kLongestKey;
  }

  // Loaders disagree on which of two equal keys wins.
  static void check_key(Value& key, Keys& keys) {
    bool is_new = true;
    switch (key.kind()) {
      case Value::Kind::String: is_new = keys.strings.insert(key.as_string()).second; break;
      case Value::Kind::Int: is_new = keys.ints.insert(key.as_int()).second; break;
      case Value::Kind::List:
      case Value::Kind::Dict:
      case Value::Kind::OrderedDict: corrupt("a list or dictionary is the key of a dictionary");
      default: break;
    }
    if (!is_new) corrupt("the key " + in_quotes(text_of(key)) + " occurs twice in a dictionary");
  }

  double limit_;
  std::unordered_map<const void*, std::optional<Weight>> seen_;  // nullopt: being visited
};

// Returns a key as a part of a name. Tuples are written as in Python, up to a maximum length.
std::string text_of(const Value& key) {
  switch (key.kind()) {
    case Value::Kind::String: return key.as_string();
    case Value::Kind::Int: return std::to_string(key.as_int());
    case Value::Kind::Float: return std::to_string(key.as_float());
    case Value::Kind::Bool: return key.as_bool() ? "True" : "False";
    case Value::Kind::None: return "None";
    case Value::Kind::Tuple: {
      std::string text;
      for (const Value& item : key.as_list()) {
        if (!text.empty()) text += ", ";
        if (text.size() > kLongestKey / 2) return "(" + text + "...)";
        bool is_long = item.kind() == Value::Kind::String && item.as_string().size() > kLongestKey / 2;
        text += is_long || item.kind() == Value::Kind::Tuple ? "..." : text_of(item);
      }
      return "(" + text + ")";
    }
    default:
      if (auto* object = key.as_opaque<Object>()) return object->type->name.substr(0, kLongestKey);
      return "?";
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

void visit_items(const Value& value, std::string& name, const std::function<void(const Item&)>& visit) {
  if (auto* tensor = value.as_opaque<TensorSpec>()) {
    visit({name, tensor, {}, false});
  } else if (auto* object = value.as_opaque<Object>()) {
    visit({name, nullptr, object->type->name, object->is_module});
  } else if (value.is_list() || value.is_dict()) {
    for_each(value, [&](const Value& key, const Value& item) {
      if (!item.is_list() && !item.is_dict() && item.kind() != Value::Kind::Opaque) return;
      size_t length = name.size();
      if (length > 0) name += '/';
      name += text_of(key);
      visit_items(item, name, visit);
      name.resize(length);
    });
  }
}

// Returns the value without tensors, and whether it had any.
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

void check_content(Value& root, Budget& budget) {
  Checker::Weight weight = Checker(static_cast<double>(budget.left())).check(root, 0);
  budget.charge(static_cast<uint64_t>(weight.total()));
}

void for_each_item(const Value& root, const std::function<void(const Item&)>& visit) {
  std::string name;
  visit_items(root, name, visit);
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

namespace {

class Reader {
 public:
  Reader(Storages& storages, Budget& budget) : storages_(storages), budget_(budget) {}

  Value read(const Value& value) {
    if (auto* tensor = value.as_opaque<TensorSpec>()) return read(*tensor);
    if (auto* storage = value.as_opaque<StorageRef>()) return Value::Bytes{read(*Storages::bytes(*storage))};
    if (value.kind() == Value::Kind::Bytes) return Value::Bytes{value.as_bytes().data.clone()};
    if (value.kind() == Value::Kind::Opaque) return {};  // skipped
    if (value.is_list()) {
      Value::List items;
      items.reserve(value.as_list().size());
      for (const Value& item : value.as_list()) items.push_back(read(item));
      return Value::list(std::move(items), value.kind());
    }
    if (value.is_dict()) {
      Value::Dict items;
      items.reserve(value.as_dict().size());
      for (const auto& [key, item] : value.as_dict()) items.emplace_back(read(key), read(item));
      return Value::dict(std::move(items), value.kind());
    }
    return value;
  }

 private:
  at::Tensor read(const TensorSpec& spec) {
    at::Tensor& tensor = tensors_[&spec];
    if (!tensor.defined()) tensor = copy(spec);
    return tensor;
  }

  at::Tensor copy(const TensorSpec& spec) {
    constexpr uint64_t kCopy = 1024;  // a tensor, natively and in JavaScript, in addition to its data
    budget_.charge(kCopy);
    bool is_part_of_storage = !spec.elements.defined() && spec.is_contiguous() && spec.is_plain();
    if (!is_part_of_storage) {
      budget_.charge_data(static_cast<uint64_t>(spec.nbytes()));
      return storages_.read(spec);
    }
    at::Tensor& data = data_[{spec.storage, spec.offset, spec.numel, spec.dtype}];
    if (data.defined()) return data.view(spec.sizes);
    budget_.charge_data(static_cast<uint64_t>(spec.nbytes()));
    return data = storages_.read(spec);
  }

  Storages& storages_;
  Budget& budget_;
  std::unordered_map<const TensorSpec*, at::Tensor> tensors_;
  std::map<std::tuple<size_t, int64_t, int64_t, at::ScalarType>, at::Tensor> data_;
};

}  // namespace

Value with_tensors(const Value& value, Storages& storages, Budget budget) {
  return Reader(storages, budget).read(value);
}

}  // namespace visiontorch::checkpoint
