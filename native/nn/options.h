#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace visiontorch::nn {

// torchvision's constructor arguments by their names in JavaScript ("widthMult"). Each family reads its own.
class Options {
 public:
  using Rows = std::vector<std::vector<int64_t>>;
  using Value = std::variant<bool, double, std::vector<bool>, Rows>;

  void set(std::string name, Value value) { values_.insert_or_assign(std::move(name), std::move(value)); }

  // Returns the option's value, or `otherwise` if it is not set.
  bool flag(const std::string& name, bool otherwise) const { return get(name, otherwise); }
  double number(const std::string& name, double otherwise) const { return get(name, otherwise); }
  int64_t integer(const std::string& name, int64_t otherwise) const {
    return static_cast<int64_t>(get(name, static_cast<double>(otherwise)));
  }
  std::vector<bool> flags(const std::string& name, std::vector<bool> otherwise) const {
    return get(name, std::move(otherwise));
  }
  Rows rows(const std::string& name, Rows otherwise) const { return get(name, std::move(otherwise)); }

 private:
  template <class T>
  T get(const std::string& name, T otherwise) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : std::get<T>(found->second);
  }

  std::map<std::string, Value> values_;
};

}  // namespace visiontorch::nn
