#include "checkpoint/file.h"

#include <algorithm>

#include "checkpoint/bytes.h"
#include "checkpoint/containers.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

// Messages quote names from the file, each cut on its own.
constexpr size_t kLongestMessage = 1000;

// What a file is that is no checkpoint: the usual ways in which a download goes wrong.
[[noreturn]] void not_a_checkpoint(std::string_view head) {
  if (head.empty()) corrupt("the file is empty");
  if (head.starts_with("version https://git-lfs"))
    corrupt("this is a Git LFS pointer, not the file itself. Run: git lfs pull");
  size_t text = head.find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && head[text] == '<') corrupt("this is a web page, not a checkpoint");
  corrupt("expected a .pth file of PyTorch (zip, legacy or tar), and the first bytes are of none");
}

Container detect(std::string_view head) {
  if (head.starts_with("PK\x03\x04")) return Container::Zip;
  if (is_legacy(head)) return Container::Legacy;
  if (is_tar(head)) return Container::Tar;
  not_a_checkpoint(head);
}

}  // namespace

std::shared_ptr<File> File::open(const std::string& path, const OpenOptions& options) {
  std::shared_ptr<File> file(new File(path));
  try {
    file->parse(options);
  } catch (const Error& error) {
    if (error.code() == "ERR_FILE_READ") throw;
    file->input_.check_unchanged();  // half of a new file is not a damaged one
    std::string message = "'" + path + "': " + printable(error.what(), kLongestMessage);
    if (error.code() == "ERR_CHECKPOINT_CORRUPT")
      message += ". The file is damaged or incomplete: download or save it again";
    throw Error(error.code(), message);
  }
  return file;
}

void File::parse(const OpenOptions& options) {
  container_ = detect(input_.read(0, std::min(kHeadSize, input_.size())));
  Arena arena;
  switch (container_) {
    case Container::Zip: content_ = read_zip(input_, options.verify, storages_, arena); break;
    case Container::Legacy: content_ = read_legacy(input_, storages_, arena); break;
    case Container::Tar: content_ = read_tar(input_, storages_, arena); break;
  }
  arena.spare(check_content(content_, input_.size()));
  tensors_ = list_tensors(content_);
  metadata_ = metadata_of(content_);
  if (options.mmap) storages_.map();
  input_.check_unchanged();
}

Value File::read(const Value& part) {
  std::lock_guard lock(mutex_);
  Value value = with_tensors(part, storages_);
  input_.check_unchanged();
  return value;
}

std::vector<at::Tensor> File::read(const std::vector<const TensorSpec*>& specs) {
  std::lock_guard lock(mutex_);
  std::vector<at::Tensor> tensors;
  for (const TensorSpec* spec : specs) tensors.push_back(storages_.read(*spec));
  input_.check_unchanged();
  return tensors;
}

}  // namespace visiontorch::checkpoint
