#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "checkpoint/containers.h"
#include "checkpoint/content.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

struct OpenOptions {
  bool verify = false;  // check the checksums of all zip records, not only of the small ones
  bool mmap = false;    // map the file and share its memory instead of copying, if possible: see Mapping
};

// A .pth or safetensors file, opened and checked. The structure is read at once, the tensors on demand; tensors stay
// valid after the File is gone. Every method that reads throws ERR_FILE_READ if the file has changed since it was
// opened.
class File {
 public:
  static std::shared_ptr<File> open(const std::string& path, const OpenOptions& options);

  Container container() const { return container_; }
  uint64_t size() const { return input_.size(); }
  // The whole content, with placeholders for tensors and skipped objects: see for_each_item().
  const Value& content() const { return content_; }
  // Returns a part of the content, with its tensors.
  Value read(const Value& part);
  // Reads these tensors, which are part of the content: see Storages::read().
  std::vector<at::Tensor> read(const std::vector<const TensorSpec*>& specs, const Storages::Visit& visit = {});

 private:
  explicit File(const std::string& path) : input_(path), storages_(input_), budget_(input_.size()) {}
  void parse(const OpenOptions& options);
  // Runs a function and prefixes the messages of its errors with the path.
  template <class Run>
  void with_path(const Run& run);

  const InputFile input_;
  std::string shown_;  // the path, for errors
  Storages storages_;
  Container container_ = Container::Zip;
  Value content_;
  Budget budget_;     // what is left of it when content_ goes to JavaScript
  std::mutex mutex_;  // guards storages_
};

}  // namespace visiontorch::checkpoint
