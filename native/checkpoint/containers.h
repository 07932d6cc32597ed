#pragma once

#include "checkpoint/arena.h"
#include "checkpoint/output.h"
#include "checkpoint/storages.h"
#include "checkpoint/value.h"

namespace visiontorch::checkpoint {

enum class Container { Zip, Legacy, Tar, Safetensors };

// Each of these reads the structure of one container and locates its storages. The tensors are read later (content.h).
Value read_zip(const InputFile& file, bool verify, Storages& storages, Arena& arena);
Value read_legacy(const InputFile& file, Storages& storages, Arena& arena);
Value read_tar(const InputFile& file, Storages& storages, Arena& arena);
// Returns the tensors by name and, under '__metadata__', the header's metadata, if it has any.
Value read_safetensors(const InputFile& file, Storages& storages, Arena& arena);

// Each of these writes one container: see write().
void write_legacy(const Descriptor& file, const Value& value);
void write_safetensors(const Descriptor& file, const Value& value);

// The number of bytes at the start of a file that identify its container.
constexpr uint64_t kHeadSize = 512;
// Returns whether a file with these first bytes starts with the pickled magic number of torch.save before 1.6.
bool is_legacy(std::string_view head);
// Returns whether it starts with a member of a tar file.
bool is_tar(std::string_view head);
// Returns whether it starts with the header of a safetensors file, even a damaged one.
bool is_safetensors(std::string_view head);

// Returns the storage that `('storage', class, key, location, numel)` names. Legacy files append a view.
c10::intrusive_ptr<StorageRef> refer_to_storage(Storages& storages, const Value& id, size_t length);
// Returns the class that `('module', class, source file, source)` names in a pickled model, or nullptr for other ids.
const Value* referenced_class(const Value& id);

}  // namespace visiontorch::checkpoint
