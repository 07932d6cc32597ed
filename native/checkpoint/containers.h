#pragma once

#include "checkpoint/arena.h"
#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Each reads the pickles of one container and locates its storages; the tensors are read later (content.h).
Value read_zip(std::string_view file, bool verify, Storages& storages, Arena& arena);
Value read_legacy(std::string_view file, Storages& storages, Arena& arena);
Value read_tar(std::string_view file, Storages& storages, Arena& arena);

// Whether the file begins with the pickled magic number of torch.save before 1.6.
bool is_legacy(std::string_view file);
// Whether the file begins with a member of a tar file.
bool is_tar(std::string_view file);

// The storage that `('storage', class, key, location, numel)` names; legacy files add a view to it.
std::shared_ptr<StorageRef> refer_to_storage(Storages& storages, const Value& id, size_t length);

}  // namespace visiontorch::checkpoint
