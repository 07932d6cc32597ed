#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "distributed/group_options.h"

namespace visiontorch::distributed {

// Meets the other ranks of a job in the store of rank 0, and returns a part of it that only these ranks use, once all
// are there. Throws ERR_DISTRIBUTED if they have not come within the timeout.
c10::intrusive_ptr<c10d::Store> join_store(const GroupOptions& options);

// After a failure: the next group at this address and port gets a new store.
void forget_store(const GroupOptions& options);

}  // namespace visiontorch::distributed
