#include "distributed/address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

namespace visiontorch::distributed {

namespace {

// Connecting a datagram socket sends no packet: the kernel only looks up the route.
std::string address_of_route(const addrinfo& to) {
  const int descriptor = socket(to.ai_family, SOCK_DGRAM, 0);
  if (descriptor < 0) return "";
  std::string result;
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  auto* address = reinterpret_cast<sockaddr*>(&own);
  char text[NI_MAXHOST];
  if (connect(descriptor, to.ai_addr, to.ai_addrlen) == 0 && getsockname(descriptor, address, &length) == 0 &&
      getnameinfo(address, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
    result = text;
  close(descriptor);
  return result;
}

}  // namespace

std::string local_address_towards(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return "";
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next)
    if (std::string address = address_of_route(*each); !address.empty()) return address;
  return "";
}

}  // namespace visiontorch::distributed
