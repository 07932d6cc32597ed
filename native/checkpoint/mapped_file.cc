#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <thread>
#include <vector>

#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR)
    throw Error("ERR_FILE_NOT_FOUND", "no such file: '" + path + "'. Check the path");
  throw Error("ERR_FILE_READ", "cannot read '" + path + "': " + std::strerror(error) +
                                   (error == EACCES ? ". Check the permissions of the file" : ""));
}

void release(void* mapping) { delete static_cast<std::shared_ptr<MappedFile>*>(mapping); }

}  // namespace

std::shared_ptr<MappedFile> MappedFile::open(const std::string& path) {
  // Without O_NONBLOCK a named pipe would be waited for, forever.
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail(path, errno);
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    throw Error("ERR_FILE_READ", "expected a file, but '" + path + "' is " +
                                     (S_ISDIR(status.st_mode) ? "a directory" : "a device or a pipe"));
  }
  return std::make_shared<MappedFile>(path, descriptor, static_cast<uint64_t>(status.st_size));
}

MappedFile::MappedFile(const std::string& path, int descriptor, uint64_t size)
    : path_(path), descriptor_(descriptor), size_(size) {
  if (size == 0) return;  // cannot be mapped
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  if (data == MAP_FAILED) {
    int error = errno;
    close(descriptor);
    fail(path, error);
  }
  data_ = static_cast<char*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
  close(descriptor_);
}

c10::DataPtr MappedFile::share(uint64_t offset) {
  return {data_ + offset, new std::shared_ptr<MappedFile>(shared_from_this()), release, at::kCPU};
}

// In parts side by side: most of the time goes into the system's making of pages for what is read.
void MappedFile::read(uint64_t offset, void* to, uint64_t count) const {
  constexpr uint64_t kPart = uint64_t(32) << 20, kMostParts = 8;
  const uint64_t threads = std::clamp<uint64_t>(std::thread::hardware_concurrency(), 1, kMostParts);
  const uint64_t parts = std::clamp<uint64_t>(count / kPart, 1, threads);
  auto begin = [&](uint64_t part) { return count / parts * part + std::min(part, count % parts); };
  std::vector<std::future<void>> others;
  for (uint64_t part = 1; part < parts; part++)
    others.push_back(std::async(std::launch::async, [=, this, first = begin(part), end = begin(part + 1)] {
      read_part(offset + first, static_cast<char*>(to) + first, end - first);
    }));
  read_part(offset, static_cast<char*>(to), begin(1));
  for (std::future<void>& other : others) other.get();
}

void MappedFile::read_part(uint64_t offset, char* to, uint64_t count) const {
  for (uint64_t done = 0; done < count;) {
    ssize_t got = pread(descriptor_, to + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, errno);
    if (got == 0) throw Error("ERR_FILE_READ", "'" + path_ + "' was shortened while it was read. Read it again");
    done += static_cast<uint64_t>(got);
  }
}

}  // namespace visiontorch::checkpoint
