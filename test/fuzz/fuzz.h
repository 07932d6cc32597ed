#pragma once

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <span>
#include <string>
#include <string_view>

// Shared by the fuzz targets.
namespace fuzz {

using Input = std::span<const uint8_t>;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

// Fills the memory of tensors with a pattern. A result that depends on uninitialized memory differs between two
// patterns.
class PatternAllocator final : public c10::Allocator {
 public:
  static PatternAllocator& install() {
    static PatternAllocator allocator;
    c10::SetCPUAllocator(&allocator, 200);
    return allocator;
  }
  char pattern = 0;

  c10::DataPtr allocate(size_t bytes) override {
    // A fuzzed file has a few kilobytes and may cost 64 MiB.
    if (bytes > size_t{1} << 28) fail("a tensor of more than 256 MiB");
    void* memory = bytes == 0 ? nullptr : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (bytes != 0 && memory == nullptr) throw std::bad_alloc();
    if (memory != nullptr) std::memset(memory, pattern, bytes);
    return {memory, memory, &std::free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

// A file in memory that has a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0 || write(descriptor_, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      fail("no file in memory");
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// No input may take more than 10 s of processor time, including the sanitizers.
class Deadline {
 public:
  ~Deadline() {
    if (std::clock() - start_ > 10 * CLOCKS_PER_SEC) fail("an input took more than 10 s");
  }

 private:
  std::clock_t start_ = std::clock();
};

// An incremental FNV-1a hash.
class Digest {
 public:
  void add(const void* data, size_t bytes) {
    for (auto* byte = static_cast<const uint8_t*>(data); bytes > 0; byte++, bytes--)
      hash_ = (hash_ ^ *byte) * 0x100000001b3;
  }
  template <class T>
  void add(const T& value) {
    add(&value, sizeof value);
  }
  bool operator==(const Digest&) const = default;

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace fuzz
