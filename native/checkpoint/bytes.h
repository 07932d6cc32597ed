#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>

#include "checkpoint/input_file.h"
#include "runtime/error.h"

namespace visiontorch::checkpoint {

[[noreturn]] inline void corrupt(const std::string& what) { throw Error("ERR_CHECKPOINT_CORRUPT", what); }

// Returns a * b for two numbers from a file, both of which must be at least zero.
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

// A cursor over a part of a file. It never leaves that part, and reads no more of it than necessary.
class ByteReader {
 public:
  // Bytes in memory. `what` names them in errors ("data.pkl").
  ByteReader(std::string_view bytes, std::string what) : window_(bytes), what_(std::move(what)), size_(bytes.size()) {}

  // The bytes [begin, end) of a file.
  ByteReader(const InputFile& file, uint64_t begin, uint64_t end, std::string what)
      : file_(&file), begin_(begin), what_(std::move(what)), size_(end - begin) {}

  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  // The result is valid for one more call of take() or line().
  std::string_view take(uint64_t count) {
    require(count);
    if (count > window_.size()) fetch(count);
    std::string_view taken = window_.substr(0, count);
    window_.remove_prefix(count);
    at_ += count;
    return taken;
  }

  // Takes the bytes up to the next newline, and the newline. The result is valid for one more call of take() or line().
  std::string_view line(uint64_t longest) {
    uint64_t most = std::min(longest + 1, remaining());
    if (most > window_.size()) fetch(most);
    size_t end = window_.substr(0, most).find('\n');
    if (end == std::string_view::npos)
      corrupt("a line of " + what_ + " at byte " + std::to_string(offset()) + " does not end");
    return take(end + 1).substr(0, end);
  }

  // Skips bytes without reading them.
  void skip(uint64_t count) {
    require(count);
    at_ += count;
    if (count <= window_.size()) return window_.remove_prefix(count);
    window_ = {};
    chunks_.clear();
    chunk_size_ = kFirstChunk;
  }

  // Takes a little-endian number.
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  // The number of bytes that were taken or skipped.
  uint64_t offset() const { return at_; }
  uint64_t remaining() const { return size_ - at_; }
  const std::string& what() const { return what_; }

 private:
  static constexpr uint64_t kFirstChunk = 512, kLargestChunk = 64 << 10;

  void require(uint64_t count) const {
    if (count <= remaining()) return;
    corrupt(what_ + " ends after " + std::to_string(size_) + " bytes, but " + std::to_string(count) +
            " more were expected at byte " + std::to_string(at_));
  }

  // Makes the window at least `count` bytes long. Keeps the last chunk, because a result of take() may point into it.
  void fetch(uint64_t count) {
    if (chunks_.size() == 2) chunks_.pop_front();
    chunks_.push_back(file_->read(begin_ + at_, std::min(std::max(count, chunk_size_), remaining())));
    window_ = chunks_.back();
    chunk_size_ = std::min(2 * chunk_size_, kLargestChunk);
  }

  const InputFile* file_ = nullptr;
  uint64_t begin_ = 0;
  std::deque<std::string> chunks_;
  std::string_view window_;  // the bytes in memory from `at_` on
  uint64_t chunk_size_ = kFirstChunk;
  std::string what_;
  uint64_t at_ = 0, size_;
};

}  // namespace visiontorch::checkpoint
