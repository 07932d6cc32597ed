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
  bool verify = false;  // check the checksums of all zip records, and not only of the small ones
  bool mmap = false;    // share the file's memory where that is possible, instead of copying: see Mapping
};

// A .pth or safetensors file, opened and checked. Its structure is read at once, its tensors when they are asked for;
// they stay valid without the File. Every method that reads throws ERR_FILE_READ if the file has changed since it was
// opened.
class File {
 public:
  static std::shared_ptr<File> open(const std::string& path, const OpenOptions& options);

  Container container() const { return container_; }
  uint64_t size() const { return input_.size(); }
  // Everything, with what stands for tensors and for skipped objects: see for_each_item().
  const Value& content() const { return content_; }
  // A part of the content, with its tensors.
  Value read(const Value& part);
  // These tensors, which are part of the content: see Storages::read().
  std::vector<at::Tensor> read(const std::vector<const TensorSpec*>& specs, const Storages::Visit& visit = {});

 private:
  explicit File(const std::string& path) : input_(path), storages_(input_), budget_(input_.size()) {}
  void parse(const OpenOptions& options);
  // Runs a function, and puts the path before the message of its errors.
  template <class Run>
  void with_path(const Run& run);

  const InputFile input_;
  std::string shown_;  // the path, for errors
  Storages storages_;
  Container container_ = Container::Zip;
  Value content_;
  Budget budget_;     // for content_ in JavaScript
  std::mutex mutex_;  // over storages_
};

}  // namespace visiontorch::checkpoint
