#include "checkpoint/writer.h"

#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "checkpoint/pickler.h"
#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

[[noreturn]] void fail(int error) {
  const char* remedy = error == ENOSPC || error == EDQUOT ? ". Free some space, or choose another disk" : "";
  throw Error("ERR_FILE_WRITE", std::string(std::strerror(error)) + remedy);
}

// Keeps the first error instead of throwing it: PyTorchStreamWriter would throw again from its destructor.
class Output {
 public:
  explicit Output(const Descriptor& file) : file_(file) {}

  size_t write(const void* data, size_t size) noexcept {
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

  void check() const {
    if (error_ != 0) fail(error_);
  }

 private:
  const Descriptor& file_;
  int error_ = 0;
};

}  // namespace

Descriptor::Descriptor(int given) : descriptor_(fcntl(given, F_DUPFD_CLOEXEC, 0)) {
  if (descriptor_ < 0) fail(errno);
}

Descriptor::~Descriptor() { close(descriptor_); }

void write(const Descriptor& file, const Value& value) {
  Pickler pickler;
  std::string pickle = pickler.pickle(value);
  Output output(file);
  {
    caffe2::serialize::PyTorchStreamWriter archive(
        [&output](const void* data, size_t size) { return output.write(data, size); });
    archive.writeRecord("data.pkl", pickle.data(), pickle.size());
    archive.writeRecord("byteorder", "little", 6);
    size_t index = 0;
    for (const at::Tensor& tensor : pickler.storages()) {
      output.check();
      size_t partial = tensor.storage().nbytes() % tensor.element_size();  // no element: the pickle does not count it
      archive.writeRecord("data/" + std::to_string(index++), tensor.storage().data(),
                          tensor.storage().nbytes() - partial);
    }
    archive.writeEndOfFile();
  }
  output.check();
}

}  // namespace visiontorch::checkpoint
