#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "runtime/error.h"

namespace visiontorch::checkpoint {

[[noreturn]] inline void corrupt(const std::string& what) { throw Error("ERR_CHECKPOINT_CORRUPT", what); }

// a * b of two numbers that a file gave, both at least zero.
inline int64_t checked_mul(int64_t a, int64_t b, const char* what) {
  int64_t result;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &result)) corrupt(std::string(what) + " is beyond any file");
  return result;
}

inline int64_t checked_add(int64_t a, int64_t b, const char* what) {
  int64_t result;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &result)) corrupt(std::string(what) + " is beyond any file");
  return result;
}

// A cursor over the bytes of a file that never leaves them.
class ByteReader {
 public:
  // `what` names the bytes in errors ("data.pkl"), `base` is the place of the first one in what is named.
  ByteReader(std::string_view bytes, std::string what, uint64_t base = 0)
      : bytes_(bytes), what_(std::move(what)), base_(base) {}

  std::string_view take(uint64_t count) {
    if (count > remaining()) {
      corrupt(what_ + " ends after " + std::to_string(base_ + bytes_.size()) + " bytes, where " +
              std::to_string(count) + " more were expected at byte " + std::to_string(offset()));
    }
    std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  // Up to the next newline, which is taken too.
  std::string_view line(uint64_t longest) {
    size_t end = bytes_.substr(at_, longest + 1).find('\n');
    if (end == std::string_view::npos)
      corrupt("a line of " + what_ + " at byte " + std::to_string(offset()) + " does not end");
    std::string_view taken = bytes_.substr(at_, end);
    at_ += end + 1;
    return taken;
  }

  // A little-endian number.
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  uint64_t offset() const { return base_ + at_; }
  uint64_t remaining() const { return bytes_.size() - at_; }
  const std::string& what() const { return what_; }

 private:
  std::string_view bytes_;
  std::string what_;
  uint64_t base_;
  uint64_t at_ = 0;
};

}  // namespace visiontorch::checkpoint
