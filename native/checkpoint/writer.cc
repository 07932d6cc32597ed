#include "checkpoint/writer.h"

#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "checkpoint/pickler.h"
#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

const char* remedy(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return ". Create the directory first";
    case EACCES:
    case EPERM:
    case EROFS: return ". Choose a directory that may be written to";
    case ENOSPC:
    case EDQUOT: return ". Free some space, or choose another disk; a file that was there before is untouched";
    default: return "";
  }
}

// A new file beside `path` that becomes `path` on commit(), and vanishes without it.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path) : path_(path) {
    static std::atomic<unsigned> count{0};
    temporary_ = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(count++);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(errno);
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!committed_) unlink(temporary_.c_str());
  }

  // Keeps the first error instead of reporting it: PyTorchStreamWriter would throw from its destructor.
  size_t write(const void* data, size_t size) noexcept {
    for (size_t done = 0; done < size && error_ == 0;) {
      ssize_t put = ::write(descriptor_, static_cast<const char*>(data) + done, size - done);
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

  void commit() {
    check();
    if (fsync(descriptor_) != 0) fail(errno);
    int closed = close(descriptor_);
    descriptor_ = -1;
    if (closed != 0) fail(errno);
    if (rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
    committed_ = true;
    size_t slash = path_.find_last_of('/');
    std::string directory = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;  // the file is there; only its durability is not certain
    fsync(descriptor);
    close(descriptor);
  }

 private:
  [[noreturn]] void fail(int error) const {
    throw Error("ERR_FILE_WRITE", "cannot write '" + path_ + "': " + std::strerror(error) + remedy(error));
  }

  std::string path_, temporary_;
  int descriptor_ = -1;
  int error_ = 0;
  bool committed_ = false;
};

}  // namespace

void write(const std::string& path, const Value& value) {
  Pickler pickler;
  std::string pickle = pickler.pickle(value);
  AtomicFile file(path);
  {
    caffe2::serialize::PyTorchStreamWriter archive(
        [&file](const void* data, size_t size) { return file.write(data, size); });
    archive.writeRecord("data.pkl", pickle.data(), pickle.size());
    archive.writeRecord("byteorder", "little", 6);
    size_t index = 0;
    for (const at::Tensor& tensor : pickler.storages()) {
      file.check();
      size_t partial = tensor.storage().nbytes() % tensor.element_size();  // no element: the pickle does not count it
      archive.writeRecord("data/" + std::to_string(index++), tensor.storage().data(),
                          tensor.storage().nbytes() - partial);
    }
    archive.writeEndOfFile();
  }
  file.commit();
}

}  // namespace visiontorch::checkpoint
