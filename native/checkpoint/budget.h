#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "checkpoint/bytes.h"

namespace visiontorch::checkpoint {

// Bounds the memory and the work that reading one file may take, whatever the file contains. Everything that a file can
// ask for is charged here, in bytes of native and JavaScript memory. Limits on single kinds of values would not
// suffice, because a few bytes of a pickle can refer to the same values again and again.
class Budget {
 public:
  // The limit is 44 MiB plus the file's size.
  explicit Budget(uint64_t file_size)
      : limit_(kBase + file_size), left_(limit_), data_left_(file_size), allowance_left_(6 * file_size) {}

  // Raises the limit for each storage in the file: a tensor takes about this much memory, however small it is.
  void allow_storages(uint64_t count) {
    constexpr uint64_t kStorage = 1500;
    uint64_t more = std::min(count * kStorage, allowance_left_);
    allowance_left_ -= more;
    limit_ += more;
    left_ += more;
  }

  void charge(uint64_t bytes) {
    if (bytes > left_) exceeded();
    left_ -= bytes;
  }
  // The data of tensors is free up to the size of the file.
  void charge_data(uint64_t bytes) {
    uint64_t free = std::min(bytes, data_left_);
    data_left_ -= free;
    charge(bytes - free);
  }
  // Counts one operation of a pickle.
  void step() {
    if (++steps_ > kMaxSteps) corrupt("the file takes more than " + std::to_string(kMaxSteps) + " steps to read");
  }
  uint64_t left() const { return left_; }
  [[noreturn]] void exceeded() const {
    corrupt("reading the file would take more than " + std::to_string(limit_ >> 20) +
            " MiB of memory in addition to its tensors, far more than its size explains");
  }

 private:
  static constexpr uint64_t kBase = uint64_t(44) << 20;
  static constexpr uint64_t kMaxSteps = 20'000'000;  // a checkpoint of 100,000 tensors takes 4,000,000

  uint64_t limit_, left_, data_left_, allowance_left_, steps_ = 0;
};

}  // namespace visiontorch::checkpoint
