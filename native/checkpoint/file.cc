#include "checkpoint/file.h"

#include "checkpoint/bytes.h"
#include "checkpoint/containers.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

// Messages quote names from the file, each cut on its own.
constexpr size_t kLongestMessage = 1000;

// What a file is that is no checkpoint: the usual ways in which a download goes wrong.
[[noreturn]] void not_a_checkpoint(std::string_view file) {
  if (file.empty()) corrupt("the file is empty");
  if (file.starts_with("version https://git-lfs"))
    corrupt("this is a Git LFS pointer, not the file itself. Run: git lfs pull");
  size_t text = file.substr(0, 256).find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && file[text] == '<') corrupt("this is a web page, not a checkpoint");
  corrupt("expected a .pth file of PyTorch (zip, legacy or tar), and the first bytes are of none");
}

Container detect(std::string_view file) {
  if (file.starts_with("PK\x03\x04")) return Container::Zip;
  if (is_legacy(file)) return Container::Legacy;
  if (is_tar(file)) return Container::Tar;
  not_a_checkpoint(file);
}

}  // namespace

std::shared_ptr<File> File::open(const std::string& path, bool verify) {
  std::shared_ptr<File> file(new File(MappedFile::open(path)));
  try {
    file->parse(verify);
  } catch (const Error& error) {
    std::string message = "'" + path + "': " + printable(error.what(), kLongestMessage);
    if (error.code() == "ERR_CHECKPOINT_CORRUPT")
      message += ". The file is damaged or incomplete: download or save it again";
    throw Error(error.code(), message);
  }
  return file;
}

void File::parse(bool verify) {
  std::string_view bytes = mapping_->bytes();
  container_ = detect(bytes);
  Arena arena;
  switch (container_) {
    case Container::Zip: content_ = read_zip(bytes, verify, storages_, arena); break;
    case Container::Legacy: content_ = read_legacy(bytes, storages_, arena); break;
    case Container::Tar: content_ = read_tar(bytes, storages_, arena); break;
  }
  arena.spare(check_content(content_, bytes.size()));
  tensors_ = list_tensors(content_);
  metadata_ = metadata_of(content_);
}

Value File::root(TensorMode mode) {
  std::lock_guard lock(mutex_);
  return with_tensors(content_, storages_, mode);
}

}  // namespace visiontorch::checkpoint
