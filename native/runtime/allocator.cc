#include "runtime/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

namespace visiontorch {

namespace {

constexpr size_t kAlignment = 64;            // a cache line, and what oneDNN's kernels like best
constexpr size_t kLarge = size_t(64) << 10;  // below it the C library reuses well enough
constexpr size_t kStep = size_t(64) << 10;   // sizes of large blocks are multiples
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kAlwaysKept = size_t(256) << 20;

// Stands before every block's data.
struct alignas(kAlignment) Header {
  size_t mapped;  // bytes from the header on; 0: the C library's
};

constexpr size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void* data = size == 0 ? nullptr : take(size);
    return {data, data, &CachingAllocator::release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &CachingAllocator::release; }
  void copy_data(void* target, const void* source, size_t count) const override { std::memcpy(target, source, count); }

  static CachingAllocator& instance() {
    static auto* allocator = new CachingAllocator();  // never destroyed: tensors may outlive static objects
    return *allocator;
  }

 private:
  static void* data_of(Header* header) { return header + 1; }
  static void release(void* data) {
    if (data != nullptr) instance().give_back(static_cast<Header*>(data) - 1);
  }

  void* take(size_t size) {
    if (size > SIZE_MAX / 2) throw std::bad_alloc();
    const size_t total = size + sizeof(Header);
    if (total < kLarge) {
      void* memory = std::aligned_alloc(kAlignment, round_up(total, kAlignment));
      if (memory == nullptr) throw std::bad_alloc();
      return data_of(new (memory) Header{0});
    }
    const size_t wanted = round_up(total, kStep);
    std::lock_guard lock(mutex_);
    // The smallest free block that is large enough, unless it wastes more than a quarter.
    auto found = free_.lower_bound(wanted);
    if (found != free_.end() && found->first <= wanted + wanted / 4) {
      Header* header = found->second;
      free_.erase(found);
      free_bytes_ -= header->mapped;
      used_bytes_ += header->mapped;
      return data_of(header);
    }
    // Growing: blocks of sizes that are no longer asked for go back to the system.
    shrink(std::max(kAlwaysKept, used_bytes_ / 4));
    Header* header = map(wanted);
    if (header == nullptr) {
      shrink(0);
      header = map(wanted);
    }
    if (header == nullptr) throw std::bad_alloc();
    used_bytes_ += wanted;
    return data_of(header);
  }

  void give_back(Header* header) {
    if (header->mapped == 0) return std::free(header);
    std::lock_guard lock(mutex_);
    used_bytes_ -= header->mapped;
    free_bytes_ += header->mapped;
    free_.emplace(header->mapped, header);
  }

  // Returns free blocks to the system, the largest first, until at most `kept` bytes are left.
  void shrink(size_t kept) {
    while (free_bytes_ > kept) {
      auto largest = std::prev(free_.end());
      free_bytes_ -= largest->first;
      munmap(largest->second, largest->first);
      free_.erase(largest);
    }
  }

  // New memory, in 2 MB pages where it is that large: they fault once instead of 512 times.
  static Header* map(size_t size) {
    const size_t slack = size >= kHugePage ? kHugePage : 0;
    void* memory = mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    if (slack != 0) {
      auto* start = static_cast<char*>(memory);
      auto* aligned = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(start), kHugePage));
      if (aligned != start) munmap(start, static_cast<size_t>(aligned - start));
      if (aligned + size != start + size + slack) munmap(aligned + size, static_cast<size_t>(start + slack - aligned));
      madvise(aligned, size, MADV_HUGEPAGE);
      memory = aligned;
    }
    return new (memory) Header{size};
  }

  std::mutex mutex_;
  std::multimap<size_t, Header*> free_;  // by size
  size_t free_bytes_ = 0, used_bytes_ = 0;
};

}  // namespace

void install_cpu_allocator() { c10::SetCPUAllocator(&CachingAllocator::instance(), /*priority=*/100); }

}  // namespace visiontorch
