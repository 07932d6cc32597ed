#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "checkpoint/content.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

enum class Container { Zip, Legacy, Tar };

// A .pth file, opened and checked. Its structure is read at once; its tensors when they are asked for, as views of the
// mapped file where they are aligned there, which in zip files they are. They stay valid without the File.
class File {
 public:
  // `verify` checks the checksums of all zip records, and not only of the small ones.
  static std::shared_ptr<File> open(const std::string& path, bool verify);

  Container container() const { return container_; }
  uint64_t size() const { return mapping_->bytes().size(); }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const Value& metadata() const { return metadata_; }
  // Everything, with tensors.
  Value root(TensorMode mode);

 private:
  explicit File(std::shared_ptr<MappedFile> mapping) : mapping_(mapping), storages_(std::move(mapping)) {}
  void parse(bool verify);

  std::shared_ptr<MappedFile> mapping_;
  Storages storages_;
  Container container_ = Container::Zip;
  Value content_;  // with what stands for tensors
  std::vector<TensorInfo> tensors_;
  Value metadata_;
  std::mutex mutex_;  // over storages_
};

}  // namespace visiontorch::checkpoint
