#include "checkpoint/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

[[noreturn]] void fail(int error) {
  const char* remedy = error == ENOSPC || error == EDQUOT ? ". Free some space, or choose another disk" : "";
  throw Error("ERR_FILE_WRITE", std::string(std::strerror(error)) + remedy);
}

}  // namespace

Descriptor::Descriptor(int given) : descriptor_(fcntl(given, F_DUPFD_CLOEXEC, 0)) {
  if (descriptor_ < 0) fail(errno);
}

Descriptor::~Descriptor() { close(descriptor_); }

size_t Output::write(const void* data, size_t size) noexcept {
  for (size_t done = 0; done < size && error_ == 0;) {
    ssize_t put = ::write(file_.get(), static_cast<const char*>(data) + done, size - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      error_ = errno;
    else
      done += static_cast<size_t>(put);
  }
  return size;
}

void Output::check() const {
  if (error_ != 0) fail(error_);
}

}  // namespace visiontorch::checkpoint
