#pragma once

#include "checkpoint/arena.h"
#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

// Each reads the pickles of one container and locates its storages; the tensors are read later (content.h).
Value read_zip(const InputFile& file, bool verify, Storages& storages, Arena& arena);
Value read_legacy(const InputFile& file, Storages& storages, Arena& arena);
Value read_tar(const InputFile& file, Storages& storages, Arena& arena);

// How many of a file's first bytes tell its container.
constexpr uint64_t kHeadSize = 512;
// Whether a file with these first bytes begins with the pickled magic number of torch.save before 1.6.
bool is_legacy(std::string_view head);
// Whether it begins with a member of a tar file.
bool is_tar(std::string_view head);

// The storage that `('storage', class, key, location, numel)` names; legacy files add a view to it.
c10::intrusive_ptr<StorageRef> refer_to_storage(Storages& storages, const Value& id, size_t length);
// The class that `('module', class, source file, source)` stands for in a whole model, or nullptr for other ids.
const Value* referenced_class(const Value& id);

}  // namespace visiontorch::checkpoint
