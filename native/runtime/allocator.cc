#include "runtime/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <set>
#include <utility>
#include <vector>

namespace visiontorch {

namespace {

constexpr size_t kAlignment = 64;            // a cache line, which suits oneDNN's kernels best
constexpr size_t kLarge = size_t(64) << 10;  // the C library reuses smaller blocks well enough
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kChunk = size_t(64) << 20;  // the least to request from the system
constexpr size_t kAlwaysKept = size_t(256) << 20;
// Added to every large block, so that tensors do not all start at the same offset in a page. Otherwise, reading and
// writing several of them in step would compete for the same cache lines.
constexpr size_t kStagger = 13 * kAlignment;

// Precedes every block's data. The blocks of a chunk form a list in the order of their addresses.
struct alignas(kAlignment) Block {
  size_t size;  // including the header; 0: the block belongs to the C library
  Block* previous = nullptr;
  Block* next = nullptr;
  bool free = false;

  bool is_whole_chunk() const { return previous == nullptr && next == nullptr; }
};

struct BySize {
  bool operator()(const Block* a, const Block* b) const { return a->size != b->size ? a->size < b->size : a < b; }
  bool operator()(const Block* a, size_t size) const { return a->size < size; }
  using is_transparent = void;
};

constexpr size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// A best-fit allocator: it takes large chunks from the system and cuts blocks from the smallest free block that is
// large enough. It merges a freed block with its free neighbours and keeps it.
class CachingAllocator final : public c10::Allocator {
 public:
  // With huge pages of 2 MB, or with pages of the usual size.
  static CachingAllocator& instance(bool huge_pages) {
    // Never destroyed: tensors may outlive static objects.
    static auto *huge = new CachingAllocator(true), *usual = new CachingAllocator(false);
    return huge_pages ? *huge : *usual;
  }

  c10::DataPtr allocate(size_t size) override {
    void* data = size == 0 ? nullptr : take(size);
    return {data, data, raw_deleter(), c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return huge_pages_ ? &release<true> : &release<false>; }
  void copy_data(void* target, const void* source, size_t count) const override { std::memcpy(target, source, count); }

  void join_pages() {
    std::lock_guard lock(mutex_);
    for (const auto& [memory, size] : plain_) ask_for_huge_pages(memory, size);
    plain_.clear();
  }

  void return_idle() {
    std::lock_guard lock(mutex_);
    return_chunks(kAlwaysKept);
  }

 private:
  explicit CachingAllocator(bool huge_pages) : huge_pages_(huge_pages) {}

  static void* data_of(Block* block) { return block + 1; }
  template <bool kHugePages>
  static void release(void* data) {
    if (data != nullptr) instance(kHugePages).give_back(static_cast<Block*>(data) - 1);
  }

  void* take(size_t size) {
    if (size > SIZE_MAX / 2) throw std::bad_alloc();
    Block* block = try_take(size);
    if (block == nullptr) {
      for (bool huge_pages : {true, false}) instance(huge_pages).return_all();
      block = try_take(size);
    }
    if (block == nullptr) throw std::bad_alloc();
    return data_of(block);
  }

  // Returns null if the system has no more memory.
  Block* try_take(size_t size) {
    const size_t total = size + sizeof(Block);
    if (total < kLarge) {
      void* memory = std::aligned_alloc(kAlignment, round_up(total, kAlignment));
      return memory == nullptr ? nullptr : new (memory) Block{0};
    }
    const size_t wanted = round_up(total, kPage) + kStagger;
    std::lock_guard lock(mutex_);
    auto found = free_.lower_bound(wanted);
    Block* block = found != free_.end() ? unlist(*found) : add_chunk(wanted);
    if (block == nullptr) return nullptr;
    split(block, wanted);
    block->free = false;
    used_bytes_ += block->size;
    return block;
  }

  void give_back(Block* block) {
    if (block->size == 0) return std::free(block);
    std::lock_guard lock(mutex_);
    used_bytes_ -= block->size;
    block->free = true;
    if (block->next != nullptr && block->next->free) join(block, unlist(block->next));
    if (block->previous != nullptr && block->previous->free) {
      Block* before = unlist(block->previous);
      join(before, block);
      block = before;
    }
    list(block);
    // Weights are not allocated again in a moment, as activations are.
    if (!huge_pages_ && block->is_whole_chunk()) return_chunks(0);
  }

  void list(Block* block) {
    free_.insert(block);
    free_bytes_ += block->size;
  }
  Block* unlist(Block* block) {
    free_.erase(block);
    free_bytes_ -= block->size;
    return block;
  }

  // Shrinks the block to `wanted` bytes and lists the rest as free, if that is worth it.
  void split(Block* block, size_t wanted) {
    if (block->size - wanted < kLarge) return;
    auto* rest = new (reinterpret_cast<char*>(block) + wanted) Block{block->size - wanted, block, block->next, true};
    if (rest->next != nullptr) rest->next->previous = rest;
    block->next = rest;
    block->size = wanted;
    list(rest);
  }

  static void join(Block* block, Block* after) {
    block->size += after->size;
    block->next = after->next;
    if (block->next != nullptr) block->next->previous = block;
  }

  Block* add_chunk(size_t wanted) {
    // When it grows, it returns chunks that are entirely free but too small to the system, but no more than it adds:
    // free memory may be needed again in a moment, and new pages cost more than anything else here.
    const size_t size = std::max(kChunk, round_up(wanted, kHugePage));
    return_chunks(std::max({kAlwaysKept, used_bytes_ / 4, free_bytes_ - std::min(free_bytes_, size)}));
    return map(size);
  }

  void return_all() {
    std::lock_guard lock(mutex_);
    return_chunks(0);
  }

  // Unmaps chunks without used blocks, the largest first, until at most `kept` bytes are free.
  void return_chunks(size_t kept) {
    for (auto it = free_.end(); it != free_.begin() && free_bytes_ > kept;) {
      Block* block = *--it;
      if (!block->is_whole_chunk()) continue;
      free_bytes_ -= block->size;
      it = free_.erase(it);
      std::erase_if(plain_, [&](const auto& chunk) { return chunk.first == block; });
      munmap(block, block->size);
    }
  }

  Block* map(size_t size) {
    void* memory = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* start = static_cast<char*>(memory);
    auto* aligned = reinterpret_cast<char*>(round_up(reinterpret_cast<uintptr_t>(start), kHugePage));
    if (aligned != start) munmap(start, static_cast<size_t>(aligned - start));
    if (aligned != start + kHugePage) munmap(aligned + size, static_cast<size_t>(start + kHugePage - aligned));
    huge_pages_ ? ask_for_huge_pages(aligned, size) : plain_.push_back({aligned, size});
    return new (aligned) Block{size};
  }

  // macOS has no such advice.
  static void ask_for_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t size) {
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);
#endif
  }

  const bool huge_pages_;
  std::vector<std::pair<void*, size_t>> plain_;  // chunks in pages of the usual size, since join_pages()
  std::mutex mutex_;
  std::set<Block*, BySize> free_;
  size_t free_bytes_ = 0, used_bytes_ = 0;
};

thread_local bool usual_pages = false;

}  // namespace

void install_cpu_allocator() { c10::SetCPUAllocator(&CachingAllocator::instance(true), /*priority=*/100); }

UsualPages::UsualPages() { usual_pages = true; }

UsualPages::~UsualPages() {
  usual_pages = false;
  CachingAllocator::instance(false).join_pages();
}

c10::Allocator& UsualPages::allocator() { return CachingAllocator::instance(!usual_pages); }

void take_pages([[maybe_unused]] void* memory, [[maybe_unused]] size_t size) {
#ifdef MADV_POPULATE_WRITE
  // Kernels before 5.14 refuse this, and then page faults take the pages.
  const auto begin = round_up(reinterpret_cast<uintptr_t>(memory), kPage);
  const auto end = (reinterpret_cast<uintptr_t>(memory) + size) / kPage * kPage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE);
#endif
}

void return_idle_memory() {
  for (bool huge_pages : {true, false}) CachingAllocator::instance(huge_pages).return_idle();
}

}  // namespace visiontorch
