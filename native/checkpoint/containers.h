#pragma once

#include "checkpoint/arena.h"
#include "checkpoint/output.h"
#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

enum class Container { Zip, Legacy, Tar, Safetensors };

// Each reads the structure of one container and locates its storages; the tensors are read later (content.h).
Value read_zip(const InputFile& file, bool verify, Storages& storages, Arena& arena);
Value read_legacy(const InputFile& file, Storages& storages, Arena& arena);
Value read_tar(const InputFile& file, Storages& storages, Arena& arena);
// The tensors by name, and under '__metadata__' the header's metadata, if it has any.
Value read_safetensors(const InputFile& file, Storages& storages, Arena& arena);

// Each writes one container: see write().
void write_legacy(const Descriptor& file, const Value& value);
void write_safetensors(const Descriptor& file, const Value& value);

// How many of a file's first bytes tell its container.
constexpr uint64_t kHeadSize = 512;
// Whether a file with these first bytes begins with the pickled magic number of torch.save before 1.6.
bool is_legacy(std::string_view head);
// Whether it begins with a member of a tar file.
bool is_tar(std::string_view head);
// Whether it begins with the header of a safetensors file, which may be damaged.
bool is_safetensors(std::string_view head);

// The storage that `('storage', class, key, location, numel)` names; legacy files add a view to it.
c10::intrusive_ptr<StorageRef> refer_to_storage(Storages& storages, const Value& id, size_t length);
// The class that `('module', class, source file, source)` stands for in a whole model, or nullptr for other ids.
const Value* referenced_class(const Value& id);

}  // namespace visiontorch::checkpoint
