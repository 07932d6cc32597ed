#include "checkpoint/input_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR)
    throw Error("ERR_FILE_NOT_FOUND", "no such file: '" + path + "'. Check the path");
  throw Error("ERR_FILE_READ", "cannot read '" + path + "': " + std::strerror(error) +
                                   (error == EACCES ? ". Check the permissions of the file" : ""));
}

// The time of the last change, which macOS names in another way.
const timespec& modified(const struct stat& status) {
#ifdef __APPLE__
  return status.st_mtimespec;
#else
  return status.st_mtim;
#endif
}

void release(void* mapping) { delete static_cast<std::shared_ptr<Mapping>*>(mapping); }

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a named pipe would otherwise wait for a writer, possibly forever.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(path, errno);
  if (fstat(descriptor_, &opened_) == 0 && S_ISREG(opened_.st_mode)) return;
  close(descriptor_);
  throw Error("ERR_FILE_READ", "expected a file, but '" + path + "' is " +
                                   (S_ISDIR(opened_.st_mode) ? "a directory" : "a device or a pipe"));
}

InputFile::~InputFile() { close(descriptor_); }

std::string InputFile::read(uint64_t offset, uint64_t count) const {
  std::string bytes(count, '\0');
  read(offset, bytes.data(), count);
  return bytes;
}

void InputFile::read(uint64_t offset, void* to, uint64_t count) const {
  for (uint64_t done = 0; done < count;) {
    ssize_t got = pread(descriptor_, static_cast<char*>(to) + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, errno);
    if (got == 0) throw Error("ERR_FILE_READ", "'" + path_ + "' was truncated while it was being read. Read it again");
    done += static_cast<uint64_t>(got);
  }
}

void InputFile::check_unchanged() const {
  struct stat now;
  if (fstat(descriptor_, &now) != 0) fail(path_, errno);
  const timespec &then = modified(opened_), &last = modified(now);
  if (now.st_size == opened_.st_size && last.tv_sec == then.tv_sec && last.tv_nsec == then.tv_nsec) return;
  throw Error("ERR_FILE_READ",
              "'" + path_ +
                  "' was changed while it was being read. Read it again once the program that writes it "
                  "has finished");
}

Mapping::Mapping(const InputFile& file) : size_(file.size()) {
  void* data = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.descriptor_, 0);
  if (data == MAP_FAILED) fail(file.path_, errno);
  data_ = static_cast<char*>(data);
}

Mapping::~Mapping() { munmap(data_, size_); }

c10::DataPtr Mapping::share(uint64_t offset) {
  return {data_ + offset, new std::shared_ptr<Mapping>(shared_from_this()), release, at::kCPU};
}

}  // namespace visiontorch::checkpoint
