#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <deque>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "checkpoint/names.h"
#include "checkpoint/state_dict.h"
#include "checkpoint/storages.h"
#include "nn/timm_names.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

// Longer prefixes are ignored: no program writes them, and comparing them would take too long.
constexpr size_t kLongestPrefix = 256;
constexpr size_t kMostOthers = 7;

// Tensors to ignore: those that profilers and averaging add to the weights, and the constant masks of Microsoft's Swin
// Transformer. Batch norms of PyTorch before 0.4.1 have no counter.
constexpr std::array<std::string_view, 5> kBookkeeping = {kCounter, "n_averaged", "total_ops", "total_params",
                                                          "attn_mask"};

bool is_bookkeeping(std::string_view name) {
  return std::find(kBookkeeping.begin(), kBookkeeping.end(), last_part(name)) != kBookkeeping.end();
}

std::optional<at::IntArrayRef> shape_of(const Value& value) {
  if (auto* spec = value.as_opaque<TensorSpec>()) return spec->sizes;
  return std::nullopt;
}

// A dictionary or list in the file, and the path to it.
struct Place {
  const Place* parent;
  const void* identity;
  std::string_view key;  // empty if it is not a string
  bool averaged;         // a key on the path says that it holds a moving average
};

std::string_view string_of(const Value& key) {
  return key.kind() == Value::Kind::String ? std::string_view(key.as_string()) : std::string_view();
}

// Returns whether a word of the name says that it holds a moving average: "state_dict_ema", "modelEma", "swa/model".
bool says_averaged(std::string_view name) {
  name = name.substr(0, kLongestPrefix);
  std::string word;
  auto is_average = [&] { return word == "ema" || word == "swa"; };
  for (size_t i = 0; i < name.size(); i++) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool starts = std::isupper(c) && i > 0 && std::islower(static_cast<unsigned char>(name[i - 1]));
    if (!std::isalnum(c) || starts) {
      if (is_average()) return true;
      word.clear();
    }
    if (std::isalnum(c)) word += static_cast<char>(std::tolower(c));
  }
  return is_average();
}

// Calls tensor(place, key, value) for every named tensor. For a container that was visited before, calls again(place)
// and skips its content. Nesting was bounded when the file was read.
template <class Tensor, class Again>
void walk(const Value& container, const Place& place, std::unordered_set<const void*>& seen, const Tensor& tensor,
          const Again& again) {
  auto enter = [&](std::string_view key, const Value& item) {
    const Place inner{&place, item.identity(), key, place.averaged || says_averaged(key)};
    if (seen.insert(inner.identity).second) {
      walk(item, inner, seen, tensor, again);
    } else {
      again(inner);
    }
  };
  if (container.is_list()) {
    for (const Value& item : container.as_list())
      if (item.is_list() || item.is_dict()) enter({}, item);
    return;
  }
  for (const auto& [key, item] : container.as_dict()) {
    if (item.is_list() || item.is_dict()) {
      enter(string_of(key), item);
    } else if (std::string_view name = string_of(key); !name.empty() && shape_of(item)) {
      tensor(place, name, item);
    }
  }
}

template <class Tensor, class Again>
void walk(const Value& root, const Tensor& tensor, const Again& again) {
  if (!root.is_list() && !root.is_dict()) return;
  std::unordered_set<const void*> seen = {root.identity()};
  walk(root, {nullptr, root.identity(), {}, false}, seen, tensor, again);
}

// Returns the keys on the path to a place, each shortened for display, joined by '/'.
std::string path_to(const Place& place) {
  if (place.parent == nullptr) return {};
  std::string before = path_to(*place.parent);
  std::string key = place.key.empty() ? "?" : printable(place.key);
  return before.empty() ? key : before + "/" + key;
}

// Returns whether values of this shape can be loaded into the entry, which has this name in the file.
bool is_compatible(const nn::Entry& entry, std::string_view timm_name, at::IntArrayRef shape) {
  const at::IntArrayRef expected = entry.tensor->sizes();
  if (shape == expected) return true;
  if (!timm_name.empty() && shape == at::IntArrayRef(nn::timm_shape(std::string(timm_name), expected))) return true;
  if (entry.is_positions) return nn::can_interpolate_positions(*entry.tensor, shape);
  return last_part(entry.name) == kPositionIndex && shape.size() <= 2 &&
         c10::multiply_integers(shape) == c10::multiply_integers(expected);
}

// A place and a prefix that may hold the network's tensors.
struct Candidate {
  const void* place;
  std::string_view prefix;
  bool averaged;
  size_t order;  // in the file
  size_t fitting = 0, named = 0;
};

// The naming scheme of the file's tensors: torchvision's (or the family's older names), or timm's.
enum class Naming { Torchvision, Timm };

class Matcher {
 public:
  Matcher(nn::Network& network, const Value& content, MatchOptions options, Naming naming)
      : entries_(network.entries()),
        content_(content),
        options_(options),
        naming_(naming),
        auxiliary_(network.auxiliary_heads) {
    // The last entries of the state dict are the last layer's weight and, if it has one, its bias.
    if (last_part(entries_.back().name) == "bias") bias_ = entries_.size() - 1;
    weight_ = bias_.value_or(entries_.size()) - 1;
    is_output_.resize(entries_.size());
    is_output_[weight_] = is_output_.back() = true;
    for (size_t i = 0; i < entries_.size(); i++) {
      const std::string* head = auxiliary_head(entries_[i].name);
      const bool is_last_of_head = head && (i + 1 == entries_.size() || auxiliary_head(entries_[i + 1].name) != head);
      if (is_last_of_head) is_output_[i - 1] = is_output_[i] = true;
      if (naming_ == Naming::Timm) {
        const std::string& name = other_names_.emplace_back(nn::timm_name(network, entries_[i].name));
        add_name(name, i);
        if (std::string second = nn::timm_second_name(name); !second.empty()) second_names_.emplace(second, i);
        continue;
      }
      add_name(entries_[i].name, i);
      std::string older = network.older_name ? network.older_name(entries_[i].name) : "";
      if (!older.empty()) add_name(other_names_.emplace_back(std::move(older)), i);
    }
  }

  Match run() {
    std::vector<Candidate> candidates = rank();
    match_.values.resize(entries_.size());
    if (candidates.empty()) {
      for (const nn::Entry& entry : entries_) match_.missing.push_back(entry.name);
      return std::move(match_);
    }
    candidates.erase(std::find_if(candidates.begin(), candidates.end(),
                                  [&](const Candidate& other) { return other.fitting < candidates.front().fitting; }),
                     candidates.end());
    candidates.resize(std::min(candidates.size(), kMostOthers + 1));
    const Candidate& best = candidates.front();
    match_.prefix = best.prefix;
    name_places(candidates);
    collect(best);
    find_classifier();
    compare();
    return std::move(match_);
  }

 private:
  void add_name(const std::string& name, size_t entry) {
    names_.emplace(name, entry);
    longest_ = std::max(longest_, name.size());
  }

  // Returns the auxiliary head that the tensor belongs to, or nullptr.
  const std::string* auxiliary_head(const std::string& name) const {
    for (const std::string& head : auxiliary_)
      if (name.starts_with(head + ".")) return &head;
    return nullptr;
  }

  bool is_compatible(size_t i, at::IntArrayRef shape) const {
    const std::string_view timm_name = naming_ == Naming::Timm ? std::string_view(other_names_[i]) : "";
    return checkpoint::is_compatible(entries_[i], timm_name, shape);
  }

  // Returns whether the second value is there, and like the first, if the file holds the entry in two.
  bool is_complete(size_t i, at::IntArrayRef first) const {
    if (naming_ != Naming::Timm || nn::timm_second_name(other_names_[i]).empty()) return true;
    const auto second = match_.second_values.find(i);
    const bool is_part = first == at::IntArrayRef(nn::timm_shape(other_names_[i], entries_[i].tensor->sizes()));
    return is_part && second != match_.second_values.end() && *shape_of(*second->second) == first;
  }

  // The file may have any number of outputs.
  bool fits(size_t i, at::IntArrayRef shape) const {
    if (!is_output_[i]) return is_compatible(i, shape);
    const at::IntArrayRef expected = entries_[i].tensor->sizes();
    return shape.size() == expected.size() && shape[0] > 0 && shape.slice(1) == expected.slice(1);
  }

  // Calls use(place, prefix, entry) for every entry whose name is a suffix of the path to a tensor. The name may span
  // several keys, as in {"features": {"0.weight": ...}}; the prefix is what precedes it in the key in which it starts.
  template <class Use>
  void readings(const Place& place, std::string_view key, const Use& use) const {
    std::string tail, joined;
    for (const Place* at = &place; key.size() <= longest_ + kLongestPrefix; at = at->parent) {
      for (size_t begin = key.size(); begin > 0;) {
        const size_t dot = begin < 2 ? std::string_view::npos : key.rfind('.', begin - 2);
        begin = dot == std::string_view::npos ? 0 : dot + 1;
        std::string_view name = key.substr(begin);
        if (name.size() + tail.size() > longest_) return;
        if (!tail.empty()) name = joined = std::string(name) + tail;
        auto found = names_.find(name);
        if (found != names_.end()) use(*at, key.substr(0, begin), found->second);
      }
      if (at->key.empty()) return;
      tail = "." + std::string(key) + tail;
      key = at->key;
    }
  }

  std::vector<Candidate> rank() const {
    std::map<std::pair<const void*, std::string_view>, Candidate> found;
    std::unordered_set<const void*> averaged;  // by key, or as torch.optim.swa_utils.AveragedModel
    walk(
        content_,
        [&](const Place& place, std::string_view key, const Value& value) {
          if (key == "n_averaged" || place.averaged) averaged.insert(place.identity);
          readings(place, key, [&](const Place& at, std::string_view prefix, size_t entry) {
            const Candidate fresh{at.identity, prefix, at.averaged || says_averaged(prefix), found.size()};
            Candidate& candidate = found.try_emplace({at.identity, prefix}, fresh).first->second;
            if (last_part(entries_[entry].name) == kCounter) return;
            candidate.named++;
            if (fits(entry, *shape_of(value))) candidate.fitting++;
          });
        },
        [&](const Place& place) {
          if (place.averaged) averaged.insert(place.identity);
        });
    std::vector<Candidate> candidates;
    for (auto& [key, candidate] : found) {
      if (candidate.fitting == 0) continue;
      candidate.averaged = candidate.averaged || averaged.contains(candidate.place);
      candidates.push_back(candidate);
    }
    std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
      if (a.fitting != b.fitting) return a.fitting > b.fitting;
      if (a.named != b.named) return a.named > b.named;
      if (a.averaged != b.averaged) return a.averaged == options_.averaged;
      return a.order < b.order;
    });
    return candidates;
  }

  // Finds the paths to the chosen place, which is the first candidate, and to the others. One dictionary may be
  // reachable by several keys.
  void name_places(const std::vector<Candidate>& candidates) {
    std::optional<std::string> raw, averaged;  // paths to the chosen place
    std::unordered_set<const void*> named;
    auto name = [&](const Place& place) {
      for (size_t i = 0; i < candidates.size(); i++) {
        if (candidates[i].place != place.identity) continue;
        if (i == 0) {
          std::optional<std::string>& known = place.averaged ? averaged : raw;
          if (!known) known = path_to(place);
        } else if (match_.others.size() < kMostOthers) {
          match_.others.push_back(describe_place(path_to(place), candidates[i].prefix));
        }
      }
    };
    auto visit = [&](const Place& place, std::string_view, const Value&) {
      // A candidate's tensors may be in nested dictionaries.
      for (const Place* at = &place; at != nullptr && named.insert(at->identity).second; at = at->parent) name(*at);
    };
    walk(content_, visit, name);
    const bool prefers_averaged = averaged && (options_.averaged || !raw);
    match_.wrapper = prefers_averaged ? *averaged : raw.value_or("");
    match_.averaged = candidates.front().averaged && (prefers_averaged || !averaged);
    std::optional<std::string>& other = prefers_averaged ? raw : averaged;
    if (other && match_.others.size() < kMostOthers) match_.others.push_back(describe_place(*other, match_.prefix));
  }

  static std::string describe_place(const std::string& path, std::string_view prefix) {
    std::string shown = printable(prefix);
    return path.empty() || shown.empty() ? path + shown : path + "/" + shown;
  }

  // Sorts the tensors below the chosen place with the chosen prefix: the network's, and all other tensors of the
  // dictionaries that hold some of them.
  void collect(const Candidate& chosen) {
    struct Other {
      const void* dictionary;
      std::string name;
      const Value* value;
    };
    std::vector<Other> others;
    std::unordered_set<const void*> contributing;
    auto collect_one = [&](const Place& place, std::string_view key, const Value& value) {
      if (key.size() > longest_ + kLongestPrefix && place.identity != chosen.place) return;
      std::string name(key);
      const Place* at = &place;
      while (at->identity != chosen.place) {
        if (at->key.empty() || name.size() + at->key.size() > longest_ + kLongestPrefix) return;
        name = std::string(at->key) + "." + name;
        at = at->parent;
      }
      if (!name.starts_with(chosen.prefix)) {
        if (place.identity == chosen.place) match_.skipped.push_back(printable(name));
        return;
      }
      name.erase(0, chosen.prefix.size());
      auto entry = names_.find(name);
      if (auto second = second_names_.find(name); second != second_names_.end()) {
        match_.second_values.try_emplace(second->second, &value);
        contributing.insert(place.identity);
      } else if (entry == names_.end()) {
        others.push_back({place.identity, std::move(name), &value});
      } else if (match_.values[entry->second] == nullptr) {
        match_.values[entry->second] = &value;
        contributing.insert(place.identity);
      }
    };
    walk(content_, collect_one, [](const Place&) {});
    for (Other& other : others)
      if (contributing.contains(other.dictionary)) sort_out(std::move(other.name), other.value);
  }

  // Handles a tensor that does not belong to the network. If it belongs to no layer, it is ignored, unless it may be
  // the mean or standard deviation with which the model itself normalises its input.
  void sort_out(std::string name, const Value* value) {
    const bool normalises = name.find("mean") != std::string::npos || name.find("std") != std::string::npos;
    const bool is_beside = name.find('.') == std::string::npos && !normalises && name != "weight" && name != "bias";
    if (is_beside || is_bookkeeping(name) || auxiliary_head(name)) {
      match_.skipped.push_back(printable(name));
    } else {
      leftover_.emplace_back(std::move(name), value);
    }
  }

  // Finds the last layer under its own name or, if it was replaced by another linear layer, under that one's name.
  // Additional layers mean a head that this network does not have.
  void find_classifier() {
    const Value* none = nullptr;
    const Value*& weight = match_.values[weight_];
    const Value*& bias = bias_ ? match_.values[*bias_] : none;
    std::vector<Layer> matrices;
    for (const auto& [name, value] : leftover_)
      if (shape_of(*value)->size() == 2 || fits(weight_, *shape_of(*value)))
        matrices.push_back({name, shape_of(*value)->vec()});
    std::string module = module_of(entries_[weight_].name);
    const bool has_own = weight != nullptr && fits(weight_, *shape_of(*weight));
    bool is_whole = !has_rest(module);
    if (has_own) {
      const int64_t outputs = (*shape_of(*weight))[0];
      for (const Layer& layer : matrices) is_whole = is_whole && layer.shape[1] != outputs;
    } else if (matrices.size() == 1 && last_part(matrices[0].name) == "weight" && fits(weight_, matrices[0].shape)) {
      module = module_of(matrices[0].name);
      weight = take(matrices[0].name);
      if (bias_) bias = take(nn::join_name(module, "bias"));
      is_whole = !has_rest(module);
    } else {
      is_whole = false;
    }
    if (is_whole) {
      const int64_t outputs = (*shape_of(*weight))[0];
      match_.classifier = module;
      if (bias == nullptr || (*shape_of(*bias)) == at::IntArrayRef{outputs}) match_.num_classes = outputs;
    } else {
      if (weight != nullptr) match_.head.push_back({module, shape_of(*weight)->vec()});
      for (const Layer& layer : matrices) match_.head.push_back({module_of(layer.name), layer.shape});
    }
  }

  static std::string module_of(const std::string& name) {
    const size_t dot = name.rfind('.');
    return dot == std::string::npos ? "" : name.substr(0, dot);
  }

  // Removes a leftover tensor and returns its value, or nullptr.
  const Value* take(std::string name) {
    auto found = std::find_if(leftover_.begin(), leftover_.end(), [&](const auto& item) { return item.first == name; });
    if (found == leftover_.end()) return nullptr;
    const Value* value = found->second;
    leftover_.erase(found);
    return value;
  }

  // Returns whether the layer's module ("fc" of "fc.1") has tensors that do not fit the network.
  bool has_rest(const std::string& module) const {
    const std::string root = module.substr(0, module.find('.')) + ".";
    return std::any_of(leftover_.begin(), leftover_.end(),
                       [&](const auto& item) { return item.first.starts_with(root); });
  }

  void compare() {
    using Classifier = MatchOptions::Classifier;
    if (options_.classifier == Classifier::None) match_.num_classes.reset();
    std::unordered_set<const std::string*> found_heads;
    for (size_t i = 0; i < entries_.size(); i++)
      if (match_.values[i] != nullptr) found_heads.insert(auxiliary_head(entries_[i].name));
    for (size_t i = 0; i < entries_.size(); i++) {
      const Value*& value = match_.values[i];
      const std::string* head = auxiliary_head(entries_[i].name);
      if (value == nullptr) {
        const std::string_view last = last_part(entries_[i].name);
        const bool matters = last != kCounter && !is_constant(last) && !(i == bias_ && match_.num_classes) &&
                             !(head && (is_output_[i] || !found_heads.contains(head)));
        if (matters) match_.missing.push_back(entries_[i].name);
        continue;
      }
      const at::IntArrayRef expected = entries_[i].tensor->sizes(), got = *shape_of(*value);
      const bool is_left_out = is_output_[i] ? !match_.num_classes || options_.classifier != Classifier::Whole
                                             : entries_[i].in_classifier && options_.classifier == Classifier::None;
      if (head && is_output_[i] && (is_left_out || (expected != got && fits(i, got)))) {
        match_.skipped.push_back(entries_[i].name);
      } else if (!is_compatible(i, got) || !is_complete(i, got)) {
        match_.mismatched.push_back({entries_[i].name, expected.vec(), got.vec()});
      } else if (is_left_out) {
        match_.missing.push_back(entries_[i].name);
      } else {
        match_.loaded.push_back(entries_[i].name);
        continue;
      }
      value = nullptr;
    }
    for (auto& [name, value] : leftover_) match_.unexpected.push_back(printable(name));
  }

  std::vector<nn::Entry> entries_;
  const Value& content_;
  const MatchOptions options_;
  const Naming naming_;
  const std::vector<std::string> auxiliary_;            // the names of the auxiliary heads
  std::deque<std::string> other_names_;                 // for entries_
  std::unordered_map<std::string_view, size_t> names_;  // both, for entries_
  std::unordered_map<std::string, size_t> second_names_;
  size_t longest_ = 0;
  size_t weight_;
  std::optional<size_t> bias_;
  std::vector<bool> is_output_;  // whether the entry belongs to a layer whose outputs are the classes
  Match match_;
  std::vector<std::pair<std::string, const Value*>> leftover_;
};

}  // namespace

Match match_state_dict(nn::Network& network, const Value& content, MatchOptions options) {
  Match match = Matcher(network, content, options, Naming::Torchvision).run();
  const bool is_whole = match.missing.empty() && match.mismatched.empty() && match.unexpected.empty();
  if (is_whole || !nn::is_in_timm(network)) return match;
  Match other = Matcher(network, content, options, Naming::Timm).run();
  return other.loaded.size() > match.loaded.size() ? other : match;
}

}  // namespace visiontorch::checkpoint
