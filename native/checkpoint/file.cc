#include "checkpoint/file.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>

#include "checkpoint/bytes.h"
#include "checkpoint/formats.h"
#include "runtime/allocator.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

constexpr size_t kLongestPath = 1000;

Container detect(const InputFile& file, const std::string& path) {
  const std::string head = file.read(0, std::min(kHeadSize, file.size()));
  if (head.starts_with("PK\x03\x04")) return Container::Zip;
  if (is_legacy(head)) return Container::Legacy;
  if (is_tar(head)) return Container::Tar;
  if (is_safetensors(head)) return Container::Safetensors;
  refuse_foreign_format(file, path);
}

}  // namespace

std::shared_ptr<File> File::open(const std::string& path, const OpenOptions& options) {
  std::shared_ptr<File> file(new File(path));
  file->shown_ = in_quotes(path, kLongestPath);
  file->container_ = detect(file->input_, file->shown_);
  file->with_path([&] { file->parse(options); });
  return file;
}

template <class Run>
void File::with_path(const Run& run) {
  try {
    run();
  } catch (const Error& error) {
    if (error.code() == "ERR_FILE_READ") throw;
    input_.check_unchanged();  // a file that is still being written is not a damaged one
    std::string message = shown_ + ": " + error.what();
    if (error.code() == "ERR_CHECKPOINT_CORRUPT")
      message += ". The file is damaged or incomplete: download or save it again";
    throw Error(error.code(), message);
  }
}

void File::parse(const OpenOptions& options) {
  {
    Budget budget(input_.size());
    Arena arena(budget);
    switch (container_) {
      case Container::Zip: content_ = read_zip(input_, options.verify, storages_, arena); break;
      case Container::Legacy: content_ = read_legacy(input_, storages_, arena); break;
      case Container::Tar: content_ = read_tar(input_, storages_, arena); break;
      case Container::Safetensors: content_ = read_safetensors(input_, storages_, arena); break;
    }
    budget_.allow_storages(storages_.size());
    check_content(content_, budget_);
  }
#ifdef __GLIBC__
  malloc_trim(0);  // return the memory that unpickling took before JavaScript takes its share
#endif
  require_weights(content_);
  if (options.mmap) storages_.map();
  input_.check_unchanged();
}

Value File::read(const Value& part) {
  std::lock_guard lock(mutex_);
  Value value;
  with_path([&] { value = with_tensors(part, storages_, budget_); });
  input_.check_unchanged();
  return value;
}

std::vector<at::Tensor> File::read(const std::vector<const TensorSpec*>& specs, const Storages::Visit& visit) {
  std::lock_guard lock(mutex_);
  const UsualPages pages;
  std::vector<at::Tensor> tensors = storages_.read(specs, visit);
  input_.check_unchanged();
  return tensors;
}

}  // namespace visiontorch::checkpoint
