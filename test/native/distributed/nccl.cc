// Checks native/distributed/nccl.cc with the library that the first argument names: fake_nccl.cc.
#include "distributed/nccl.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "runtime/error.h"

using namespace visiontorch;
using namespace visiontorch::distributed;

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

template <class Work>
std::string message_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code() + " " + error.what();
  }
  return "";
}

void exchange(const std::shared_ptr<const Nccl>& nccl, const NcclId& id, int rank, int size) {
  NcclCommunicator communicator(nccl, id, rank, size);
  int enqueued = 0;
  std::vector<float> floats = {1.0F + rank, 0.5F};
  communicator.sum(floats.data(), floats.size(), NcclType::Float32, &enqueued);
  expect(floats[0] == 6 && floats[1] == 1.5F, "floats are the sums over three ranks");
  std::vector<double> doubles = {0.25};
  communicator.sum(doubles.data(), doubles.size(), NcclType::Float64, &enqueued);
  expect(doubles[0] == 0.75, "doubles are the sums over three ranks");
  std::string bytes = rank == 0 ? "from rank 0" : "from others";
  communicator.broadcast(bytes.data(), bytes.size(), NcclType::Uint8, &enqueued);
  expect(bytes == "from rank 0", "bytes are those of rank 0");
  expect(enqueued == 3, "operations are enqueued on the stream that is given");
  expect(message_of([&] { communicator.check(); }).empty(), "nothing has failed");
  expect(message_of([&] {
           communicator.sum(bytes.data(), 1, NcclType::Uint8, &enqueued);
         }).find("ERR_DISTRIBUTED NCCL failed: ncclAllReduce: invalid") == 0,
         "an operation that NCCL refuses is an error, which says so");
  communicator.sum(nullptr, 0, NcclType::Float32, &enqueued);
  expect(message_of([&] { communicator.check(); }).find("remote process exited") != std::string::npos,
         "what fails after it was enqueued is an error of check()");
  communicator.abort();
}

}  // namespace

int main(int, char** arguments) {
  expect(Nccl::load("/nowhere/libnccl.so.2") == nullptr, "there is no NCCL without the library");
  expect(Nccl::load("libc.so.6") == nullptr, "a library without NCCL's functions is none");
  const auto nccl = Nccl::load(arguments[1]);
  expect(nccl != nullptr, "the library is loaded");
  expect(message_of([&] { NcclCommunicator(nccl, NcclId{}, 0, 3); }).find("ncclCommInitRank") != std::string::npos,
         "an id that no rank made is an error");
  const NcclId id = nccl->new_id();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; rank++) ranks.emplace_back([&, rank] { exchange(nccl, id, rank, 3); });
  for (std::thread& rank : ranks) rank.join();
}
